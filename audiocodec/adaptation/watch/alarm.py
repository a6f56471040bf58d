"""From the measures of a window to a score, thresholds with a stated false-alarm rate, and a state.

A sequential test detects drift that makes many scores a little too high, each of them below the threshold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from audiocodec.adaptation.drift.measures import CODE_MEASURES, MEASURES, Measures
from audiocodec.adaptation.drift.null import suspicion
from audiocodec.errors import InputError, require

if TYPE_CHECKING:
    from audiocodec.adaptation.drift import NullDistribution


DECISIVE = ("relative_error", "js", "w2")
"""Measures that decide where audio is seen; docs/studies/drift.md says which predict the loss of PESQ."""
DECISIVE_CODES = ("js", "perplexity", "bigram_js")
"""Measures that decide where there are codes only."""


@dataclass(frozen=True)
class Score:
    """Score of one window.

    Attributes:
        value: largest suspicion among the decisive measures, in spreads of the measure without drift.
        measure: name of that measure.
        p_value: share of windows without drift that have a score this large.
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

    The score is the largest of several measures, each in units of its spread without drift. The thresholds
    are quantiles of the scores of windows without drift, so the rate holds for all measures together.
    """

    def __init__(
        self, null: NullDistribution, false_alarm_rate: float = 0.01, decisive: Sequence[str] = ()
    ) -> None:
        """Decide by the measures `decisive`; none means DECISIVE, or DECISIVE_CODES without latents.

        Raises:
            InputError: a measure is unknown, or the rate is too small for the number of windows drawn.
        """
        unknown = [name for name in decisive if name not in MEASURES]
        if unknown:
            raise InputError(f"measure {unknown[0]!r} is not known; choose from {', '.join(MEASURES)}")
        lowest = 1 / null.windows
        if not lowest <= false_alarm_rate <= 0.2:
            raise InputError(
                f"a false-alarm rate of {false_alarm_rate:g} per window is not possible; the baseline has"
                f" {null.windows} windows, so {lowest:g} to 0.2 are allowed"
            )
        self.null, self.false_alarm_rate, self.decisive = null, false_alarm_rate, tuple(decisive)
        self._kept: dict[tuple[int, tuple[tuple[str, int], ...]], NDArray[np.float64]] = {}

    def score(self, measures: Measures) -> Score:
        """Score a window.

        Raises:
            InputError: the window has none of the decisive measures.
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
                f"this window has no measure {', '.join(wanted)}; choose from {', '.join(measures.values)}"
            )
        return names


MonitorState = Literal["ok", "warning", "alert"]
STATES: tuple[MonitorState, ...] = ("ok", "warning", "alert")


class StateMachine:
    """State of a monitor: it rises at once, and falls after some windows without a reason for it."""

    def __init__(self, recovery_windows: int = 3) -> None:
        """The state falls when none of the last `recovery_windows` windows was at that level."""
        self._recent: deque[int] = deque([0], maxlen=recovery_windows)

    @property
    def state(self) -> MonitorState:
        """The present state."""
        return STATES[max(self._recent)]

    def update(self, score: Score, changed: bool) -> MonitorState:
        """The state after a window with this score; `changed` says whether the sequential test fired.

        An alert that has begun continues while scores are above the warning threshold.
        """
        level = 2 if changed or score.value > score.alert else int(score.value > score.warning)
        if level == 1 and self.state == "alert":
            level = 2
        self._recent.append(level)
        return self.state


SequentialTest = Literal["page_hinkley", "adwin", "none"]
SLACK = 0.5
"""Page-Hinkley ignores a smaller change of the mean, in spreads of the measure without drift."""
_CALIBRATION_WINDOWS = 4000
_WARM_UP = 64


class ChangeDetector:
    """One of river's detectors, which is given scores without drift before the first window."""

    def __init__(self, make: Callable[[], Any], null: NDArray[np.float64], rng: np.random.Generator) -> None:
        """`make` gives a fresh detector; `null` are scores [W] without drift."""
        self._make, self._null, self._rng = make, null, rng
        self._start()

    def update(self, score: float) -> bool:
        """Whether the mean of the scores has risen; if so, the test starts again."""
        before = getattr(self._detector, "estimation", None)
        self._detector.update(score)
        drift = bool(self._detector.drift_detected)
        risen = before is None or score > before
        if drift:
            self._start()
        return drift and risen

    def _start(self) -> None:
        self._detector = self._make()
        for score in self._rng.choice(self._null, _WARM_UP):
            self._detector.update(float(score))
            if self._detector.drift_detected:
                self._detector = self._make()


def make_detector(
    kind: SequentialTest, null: NDArray[np.float64], rate: float, rng: np.random.Generator
) -> ChangeDetector | None:
    """A sequential test that fires about `rate` times a window on scores like `null` [W]; None for "none".

    Page-Hinkley (Page 1954) looks for a risen mean; its threshold is calibrated by drawing from `null`. ADWIN
    (Bifet and Gavalda 2007) compares both parts for all ways to divide the recent past; its delta is `rate`.

    Raises:
        InputError: the kind is unknown.
        MissingPackageError: river is not installed.
    """
    if kind not in get_args(SequentialTest):
        raise InputError(f"sequential test {kind!r} is not known; choose from {get_args(SequentialTest)}")
    if kind == "none":
        return None
    drift = _river()
    if kind == "adwin":
        make: Callable[[], Any] = lambda: drift.ADWIN(delta=rate, clock=1)  # noqa: E731
    else:
        threshold = calibrate(null, rate, rng)
        make = lambda: page_hinkley(drift, threshold)  # noqa: E731
    return ChangeDetector(make, null, rng)


def page_hinkley(drift: Any, threshold: float) -> Any:
    """River's detector of a rising mean, with our slack."""
    return drift.PageHinkley(min_instances=1, delta=SLACK, threshold=threshold, alpha=1.0, mode="up")


def calibrate(null: NDArray[np.float64], rate: float, rng: np.random.Generator) -> float:
    """The lowest threshold at which Page-Hinkley alarms in at most a `rate` of such windows."""
    scores = rng.choice(null, _CALIBRATION_WINDOWS).tolist()
    low, high = 0.0, 64.0
    for _ in range(12):
        threshold = (low + high) / 2
        few = count_alarms(scores, threshold) <= rate * len(scores)
        low, high = (low, threshold) if few else (threshold, high)
    return high


def count_alarms(scores: list[float], threshold: float) -> int:
    """Number of alarms of river's PageHinkley, which starts again after each; river itself takes seconds."""
    alarms = count = 0
    mean = total = lowest = 0.0
    for score in scores:
        count += 1
        mean += (score - mean) / count
        total += score - mean - SLACK
        lowest = min(lowest, total) if count > 1 else total
        if total - lowest > threshold:
            alarms, count, mean, total, lowest = alarms + 1, 0, 0.0, 0.0, 0.0
    return alarms


def _river() -> Any:
    return require("river.drift", "a sequential test", "'audiocodec[adapt]'", "or choose none")
