"""How large drift measures are when nothing has drifted, so that a threshold has a stated false-alarm rate.

Frames of speech are alike over seconds and speakers stay for longer, so windows of audio like the baseline's
are drawn as whole stretches: the circular block bootstrap (Politis and Romano 1992) with blocks as long as
the window, or where the audio is too short for that with several blocks a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audiocodec.adaptation.drift.measures import Measures, overall
from audiocodec.errors import InputError

TWO_SIDED = frozenset({"usage", "perplexity", "entropy", "repeats", "level_db"})
"""Measures for which a fall is as suspicious as a rise."""
MAX_KEPT = 256
Samples = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class NullDistribution:
    """Drift measures of windows without drift, jointly: row w of all measures is of the same window.

    Attributes:
        lengths: lengths of the windows that were drawn, in frames, ascending.
        samples: by measure [lengths, windows, stages] float32, stages as in `Measures`.
    """

    lengths: tuple[int, ...]
    samples: Mapping[str, Samples]
    _kept: dict[tuple[str, int, int], NDArray[np.float64]] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def windows(self) -> int:
        """Number of windows drawn for each length."""
        return next(iter(self.samples.values())).shape[1]

    def at(self, name: str, frames: int, stages: int) -> NDArray[np.float64]:
        """Samples [windows, stages] for windows of `frames`, interpolated between the lengths drawn.

        Spread and bias of most measures follow a power of the length, so samples of the nearest length are
        moved and stretched to the median and spread that a straight line in log length gives.
        """
        key = (name, frames, stages)
        if key not in self._kept:  # windows are mostly of one length
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[key] = self._interpolated(name, frames, stages)
        return self._kept[key]

    def _interpolated(self, name: str, frames: int, stages: int) -> NDArray[np.float64]:
        grid = self.samples[name][..., :stages].astype(np.float64)
        if len(self.lengths) == 1 or frames <= self.lengths[0]:
            return grid[0]
        if frames >= self.lengths[-1]:
            return grid[-1]
        upper = int(np.searchsorted(self.lengths, frames))
        low, high = np.log(self.lengths[upper - 1]), np.log(self.lengths[upper])
        share = float((np.log(frames) - low) / (high - low))
        nearest = grid[upper - 1] if share < 0.5 else grid[upper]
        center, spread = (
            (1 - share) * part(grid[upper - 1]) + share * part(grid[upper]) for part in (_median, _spread)
        )
        return center + (nearest - _median(nearest)) * (spread / np.maximum(_spread(nearest), 1e-12))

    def overall_at(self, name: str, frames: int, stages: int) -> NDArray[np.float64]:
        """Samples [windows] of the overall measure over the first `stages`."""
        return overall(name, self.at(name, frames, stages))

    def check_frames(self, frames: int, frame_rate: float) -> None:
        """Refuse windows shorter than the shortest that was drawn.

        Raises:
            InputError: it says how much audio is needed.
        """
        if frames < self.lengths[0]:
            raise InputError(
                f"too little audio: {frames / frame_rate:.1f} s, at least"
                f" {self.lengths[0] / frame_rate:.0f} s are needed to measure drift"
            )

    def p_value(self, name: str, measures: Measures) -> float:
        """Share of windows without drift whose overall measure is as suspicious as this one."""
        stages = len(measures.values[name])
        return tail(name, measures.overall(name), self.overall_at(name, measures.frames, stages))


def tail(name: str, value: float, samples: NDArray[np.float64]) -> float:
    """Share of samples [W] at least as suspicious as `value`, the value itself counted as one of them."""
    above = (1 + int((samples >= value).sum())) / (len(samples) + 1)
    if name not in TWO_SIDED:
        return above
    below = (1 + int((samples <= value).sum())) / (len(samples) + 1)
    return min(1.0, 2 * min(above, below))


def suspicion(name: str, values: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values [n] in spreads of the null above its median; two-sided measures by their distance from it."""
    offset = (values - np.median(samples)) / max(float(_spread(samples)), 1e-12)
    return np.abs(offset) if name in TWO_SIDED else offset


def _median(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.median(samples, axis=0)


def _spread(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """A robust standard deviation: the middle 68 % of a normal distribution."""
    low, high = np.quantile(samples, [0.16, 0.84], axis=0)
    return (high - low) / 2
