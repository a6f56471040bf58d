"""Means with intervals, where a curve falls below a threshold, and bitrates for equal quality.

Files of one speaker resemble each other, so a bootstrap over files would give intervals that are too narrow.
Here speakers are drawn with replacement, each with all its files (cluster bootstrap; Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8); an interval lies between percentiles of the
results. All results use the same draws, so differences and ratios of means have intervals as well.

`Draws` are values [1 + resamples]: first the value of the data themselves, then that of each resample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Draws = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000
MIN_SPEAKERS = 2
MIN_USABLE = 0.9
"""Share of the resamples that must have a value; with fewer there is no interval."""
NEVER, ALWAYS = -np.inf, np.inf
"""Instead of an SNR: the curve stays above its threshold, or is below it at the highest SNR already."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        value: mean of the data; NaN without any.
        low: lower limit at `LEVEL`; NaN where there is no interval.
        high: upper limit.
        n: number of values.
        speakers: number of their speakers.
    """

    value: float
    low: float
    high: float
    n: int = 0
    speakers: int = 0


class Resampling:
    """Speakers drawn with replacement, the same draws for everything that is compared.

    Args:
        speakers: the speaker of each value, in any order.
        resamples: number of draws.
        seed: seed of the random generator.
    """

    def __init__(self, speakers: Iterable[str], resamples: int = RESAMPLES, seed: int = 0) -> None:
        self.speakers = sorted(set(speakers))
        self._number = {name: number for number, name in enumerate(self.speakers)}
        count = len(self.speakers)
        times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / max(count, 1)), resamples)
        self._times = np.concatenate([np.ones((1, count)), times])  # [1 + resamples, speakers]

    def numbers(self, speakers: Iterable[str]) -> NDArray[np.int64]:
        """Their places in `speakers`."""
        return np.array([self._number[name] for name in speakers], dtype=np.int64)

    def means(self, values: ArrayLike, numbers: NDArray[np.int64]) -> Draws:
        """Mean of the values [n] that are not NaN, in each draw; `numbers` [n] are those of the speakers.

        Resamples are NaN for fewer than `MIN_SPEAKERS` speakers: they would all be the same.
        """
        values = np.asarray(values, dtype=np.float64)
        there = ~np.isnan(values)
        size = len(self.speakers)
        sums = np.bincount(numbers[there], values[there], minlength=size)
        counts = np.bincount(numbers[there], minlength=size)
        with np.errstate(invalid="ignore", divide="ignore"):
            draws = (self._times @ sums) / (self._times @ counts)
        if np.count_nonzero(counts) < MIN_SPEAKERS:
            draws[1:] = np.nan
        return draws

    def estimate(self, values: ArrayLike, numbers: NDArray[np.int64]) -> Estimate:
        """Mean with interval."""
        there = ~np.isnan(np.asarray(values, dtype=np.float64))
        draws = self.means(values, numbers)
        return Estimate(float(draws[0]), *limits(draws), int(there.sum()), len(np.unique(numbers[there])))


def limits(draws: Draws) -> tuple[float, float]:
    """Limits at `LEVEL`: percentiles of the resamples, perhaps infinite; NaN when too many are NaN."""
    usable = draws[1:][~np.isnan(draws[1:])]
    if not len(usable) or len(usable) < MIN_USABLE * (len(draws) - 1):
        return np.nan, np.nan
    tail = (1 - LEVEL) / 2
    # A percentile between two draws cannot be interpolated when one of them is infinite.
    method = "linear" if np.isfinite(usable).all() else "inverted_cdf"
    low, high = np.quantile(usable, [tail, 1 - tail], method=method)
    return float(low), float(high)


def crossing(snr_db: Sequence[float], values: NDArray[np.float64], threshold: ArrayLike) -> Draws:
    """SNR in dB where a curve falls below `threshold` for the first time, coming from the highest SNR.

    Between two measured SNRs the curve is a straight line. `NEVER` where it stays above down to the lowest,
    `ALWAYS` where it is below at the highest already, NaN where a value is missing.

    Args:
        snr_db: [P], in any order.
        values: [P, D], higher is better.
        threshold: one for all, or [D].
    """
    order = np.argsort(snr_db)[::-1]
    snrs, values = np.asarray(snr_db, dtype=np.float64)[order], values[order]
    threshold = np.broadcast_to(np.asarray(threshold, dtype=np.float64), values.shape[1:])
    below = values < threshold
    first = below.argmax(axis=0)
    column = np.arange(values.shape[1])
    upper, lower = values[np.maximum(first - 1, 0), column], values[first, column]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (upper - threshold) / (upper - lower)
        crossed = snrs[np.maximum(first - 1, 0)] + share * (snrs[first] - snrs[np.maximum(first - 1, 0)])
    crossed = np.where(first == 0, ALWAYS, crossed)
    crossed = np.where(below.any(axis=0), crossed, NEVER)
    return np.where(np.isnan(values).any(axis=0) | np.isnan(threshold), np.nan, crossed)


@dataclass(frozen=True)
class BitrateChange:
    """Bits that a codec needs for the quality of another: -30 is 30 % fewer.

    Attributes:
        percent: mean over the qualities that both reach; NaN with a `reason`.
        low: lower limit at `LEVEL`; NaN where there is no interval.
        high: upper limit.
        overlap: share of the range of qualities that both reach.
        reason: why there is no number; empty when there is one.
        at_least: bound instead of a number, where its highest bitrate is worse than the other's lowest.
        at_most: bound instead of a number, where its lowest bitrate is better than the other's highest.
    """

    percent: float
    low: float = np.nan
    high: float = np.nan
    overlap: float = 0.0
    reason: str = ""
    at_least: float = np.nan
    at_most: float = np.nan


def bitrate_change(
    bitrates: NDArray[np.float64],
    quality: NDArray[np.float64],
    other_bitrates: NDArray[np.float64],
    other_quality: NDArray[np.float64],
) -> BitrateChange:
    """Bjontegaard delta rate of a codec against another, with its interval.

    The logarithm of the bitrate is interpolated over quality by monotone cubics and averaged where both
    curves are defined (Bjontegaard, VCEG-M33, 2001; piecewise, as in JCTVC-L1100, 2013).

    Args:
        bitrates: bit/s [P, D] of the codec.
        quality: [P, D], higher is better; must rise with the bitrate.
        other_bitrates: bit/s [Q, D] of the codec it is compared with.
        other_quality: [Q, D].
    """
    order = np.argsort(bitrates[:, 0])
    bitrates, quality = bitrates[order], quality[order]
    order = np.argsort(other_bitrates[:, 0])
    other_bitrates, other_quality = other_bitrates[order], other_quality[order]
    overlap = _overlap(quality[:, 0], other_quality[:, 0])
    reason = _why_not(bitrates[:, 0], quality[:, 0], other_bitrates[:, 0], other_quality[:, 0])
    if reason:
        return BitrateChange(np.nan, overlap=overlap, reason=reason)
    if quality[0, 0] >= other_quality[-1, 0]:
        reason = "its lowest bitrate is better than the other's highest: no quality that both have"
        return BitrateChange(np.nan, reason=reason, at_most=_percent(bitrates[0, 0], other_bitrates[-1, 0]))
    if quality[-1, 0] <= other_quality[0, 0]:
        reason = "its highest bitrate is worse than the other's lowest: no quality that both have"
        return BitrateChange(np.nan, reason=reason, at_least=_percent(bitrates[-1, 0], other_bitrates[0, 0]))
    low = np.maximum(quality[0], other_quality[0])
    high = np.minimum(quality[-1], other_quality[-1])
    usable = (np.diff(quality, axis=0) > 0).all(axis=0) & (np.diff(other_quality, axis=0) > 0).all(axis=0)
    usable &= high > low
    draws = np.full(quality.shape[1], np.nan)
    area = _integral(quality[:, usable], np.log(bitrates[:, usable]), low[usable], high[usable])
    other = _integral(other_quality[:, usable], np.log(other_bitrates[:, usable]), low[usable], high[usable])
    draws[usable] = 100 * np.expm1((area - other) / (high - low)[usable])
    return BitrateChange(float(draws[0]), *limits(draws), overlap)


def _overlap(quality: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Share of the range of both that both reach."""
    shared = min(quality.max(), other.max()) - max(quality.min(), other.min())
    whole = max(quality.max(), other.max()) - min(quality.min(), other.min())
    return float(max(shared, 0.0) / whole) if whole > 0 else 0.0


def _why_not(
    bitrates: NDArray[np.float64],
    quality: NDArray[np.float64],
    other_bitrates: NDArray[np.float64],
    other_quality: NDArray[np.float64],
) -> str:
    for rates, values, which in ((bitrates, quality, "its"), (other_bitrates, other_quality, "the other's")):
        if np.isnan(values).any() or np.isnan(rates).any():
            return f"scores are missing at one of {which} bitrates"
        if len(values) < 2:
            return f"a curve needs two bitrates, and {which} has one"
        if not (np.diff(values) > 0).all():
            return f"{which} quality does not rise with the bitrate"
    return ""


def _percent(bitrate: float, other: float) -> float:
    return float(100 * (bitrate / other - 1))


def _integral(
    x: NDArray[np.float64], y: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Integral [D] from `low` to `high` [D] of monotone cubics through x, y [P, D].

    One curve a resample makes a loop over scipy's interpolator too slow; two nodes of Gauss and Legendre are
    exact for each cubic.
    """
    slopes = _slopes(x, y)
    total = np.zeros(x.shape[1])
    for left in range(len(x) - 1):
        start, width = x[left], x[left + 1] - x[left]
        lower, upper = np.clip(low, start, start + width), np.clip(high, start, start + width)
        for node in (-1 / np.sqrt(3), 1 / np.sqrt(3)):
            t = ((lower + upper) / 2 + node * (upper - lower) / 2 - start) / width
            value = (1 + 2 * t) * (1 - t) ** 2 * y[left] + t**2 * (3 - 2 * t) * y[left + 1]
            value += width * t * (1 - t) * ((1 - t) * slopes[left] - t * slopes[left + 1])
            total += value * (upper - lower) / 2
    return total


def _slopes(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slopes [P, D] at each point (Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984).

    The ends are parabolas through three points, kept from turning round, as in scipy's PchipInterpolator.
    """
    width, rise = np.diff(x, axis=0), np.diff(y, axis=0) / np.diff(x, axis=0)
    if len(x) == 2:
        return np.concatenate([rise, rise])
    before, after = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = (before + after) / (before / rise[:-1] + after / rise[1:])
    inner = np.where(rise[:-1] * rise[1:] > 0, inner, 0.0)
    first = _end(width[0], width[1], rise[0], rise[1])
    last = _end(width[-1], width[-2], rise[-1], rise[-2])
    return np.concatenate([first[None], inner, last[None]])


def _end(
    width: NDArray[np.float64], next_width: NDArray[np.float64], rise: NDArray[np.float64], next_rise: Any
) -> NDArray[np.float64]:
    slope = ((2 * width + next_width) * rise - width * next_rise) / (width + next_width)
    slope = np.where(np.sign(slope) != np.sign(rise), 0.0, slope)
    turns = (np.sign(rise) != np.sign(next_rise)) & (np.abs(slope) > 3 * np.abs(rise))
    return np.where(turns, 3 * rise, slope)
