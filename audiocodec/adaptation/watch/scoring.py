"""One number for the drift of a window, and the thresholds that give it a stated false-alarm rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audiocodec.adaptation.drift.measures import CODE_MEASURES, MEASURES, Measures
from audiocodec.adaptation.drift.null import suspicion
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from audiocodec.adaptation.drift import NullDistribution

DECISIVE = ("relative_error", "js", "w2")
"""Measures that decide where audio is seen; docs/studies/drift.md says which foretell the loss of PESQ."""
DECISIVE_CODES = ("js", "perplexity", "bigram_js")
"""Measures that decide where there are codes only."""


@dataclass(frozen=True)
class Score:
    """Of one window.

    Attributes:
        value: largest suspicion among the decisive measures, in spreads of what chance gives.
        measure: the one that was largest.
        p_value: how often chance alone gives a score this large.
        warning: threshold at five times the false-alarm rate.
        alert: threshold at the false-alarm rate.
    """

    value: float
    measure: str
    p_value: float
    warning: float
    alert: float


class Scorer:
    """Scores windows against the null distribution of a baseline.

    The score is the largest of several measures, each in units of its own chance; the thresholds are
    quantiles of the same largest over windows without drift, so the rate holds for all measures together.
    """

    def __init__(
        self, null: NullDistribution, false_alarm_rate: float = 0.01, decisive: Sequence[str] = ()
    ) -> None:
        """Decide by `decisive` measures; by default those known to matter.

        Raises:
            InputError: a measure is unknown, or the rate is below what the null distribution can tell.
        """
        unknown = [name for name in decisive if name not in MEASURES]
        if unknown:
            raise InputError(f"measure {unknown[0]!r} is not known; choose from {', '.join(MEASURES)}")
        lowest = 1 / null.windows
        if not lowest <= false_alarm_rate <= 0.2:
            raise InputError(
                f"a false-alarm rate of {false_alarm_rate:g} a window is not possible; with {null.windows}"
                f" windows in the baseline it can be {lowest:g} to 0.2"
            )
        self.null, self.false_alarm_rate, self.decisive = null, false_alarm_rate, tuple(decisive)
        self._kept: dict[tuple[int, tuple[tuple[str, int], ...]], NDArray[np.float64]] = {}

    def score(self, measures: Measures) -> Score:
        """Score a window.

        Raises:
            InputError: none of the decisive measures is known of it.
        """
        names = self._names(measures)
        parts = {
            name: float(suspicion(name, np.array([measures.overall(name)]), self._drawn(name, measures))[0])
            for name in names
        }
        worst = max(parts, key=lambda name: parts[name])
        null = self.null_scores(measures)
        p_value = (1 + int((null >= parts[worst]).sum())) / (len(null) + 1)
        warning, alert = (
            float(np.quantile(null, 1 - rate, method="higher"))
            for rate in (min(0.5, 5 * self.false_alarm_rate), self.false_alarm_rate)
        )
        return Score(parts[worst], worst, p_value, warning, alert)

    def null_scores(self, measures: Measures) -> NDArray[np.float64]:
        """Scores [windows] of windows of this size without drift."""
        names = self._names(measures)
        key = (measures.frames, tuple((name, len(measures.values[name])) for name in names))
        if key not in self._kept:
            drawn = [self._drawn(name, measures) for name in names]
            scored = [suspicion(name, part, part) for name, part in zip(names, drawn, strict=True)]
            self._kept[key] = np.max(scored, axis=0)
        return self._kept[key]

    def _drawn(self, name: str, measures: Measures) -> NDArray[np.float64]:
        return self.null.overall_at(name, measures.frames, len(measures.values[name]))

    def _names(self, measures: Measures) -> list[str]:
        codes_only = all(name in CODE_MEASURES for name in measures.values)
        wanted = self.decisive or (DECISIVE_CODES if codes_only else DECISIVE)
        names = [name for name in wanted if name in measures.values and name in self.null.samples]
        if not names:
            raise InputError(
                f"none of {', '.join(wanted)} is known of this window, but {', '.join(measures.values)};"
                " choose among those"
            )
        return names
