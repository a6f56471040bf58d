"""How loud speech is while someone speaks: the active speech level of ITU-T P.56, method B."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.signal import lfilter

TIME_CONSTANT = 0.03
"""Seconds, of each of the two smoothing filters of the envelope (P.56, 9.2)."""
HANGOVER = 0.2
"""Seconds that speech goes on after the envelope fell below a threshold."""
MARGIN_DB = 15.9
"""The threshold that counts lies this far below the active level."""
NUM_THRESHOLDS = 16
"""Halvings of full scale, down to one step of 16-bit samples."""


@dataclass(frozen=True)
class ActiveLevel:
    """What P.56 finds.

    Attributes:
        level_db: RMS level while speech is active, dB relative to a full-scale square wave; -inf for silence.
        activity: share of the time in which speech is active, 0 to 1.
    """

    level_db: float
    activity: float

    @property
    def silent(self) -> bool:
        """Whether there is no activity to take a level of."""
        return self.activity == 0.0


def rms_db(wav: NDArray[np.floating]) -> float:
    """Level of wav [..., L], pauses included, dB relative to a full-scale square wave; -inf for silence."""
    power = float(np.mean(np.square(wav, dtype=np.float64))) if wav.size else 0.0
    return 10 * math.log10(power) if power > 0 else -math.inf


def active_level(wav: NDArray[np.floating], sample_rate: int) -> ActiveLevel:
    """Measure speech [L] by ITU-T P.56 (12/2011) method B; pauses longer than a hangover do not count.

    The envelope, its thresholds and the hangover are those of the recommendation; between two thresholds the
    level is interpolated linearly in dB, where the reference program bisects. Below about -74 dB all is
    silence.
    """
    samples = np.asarray(wav, np.float64)
    power = float(np.dot(samples, samples))
    if power == 0.0:
        return ActiveLevel(-math.inf, 0.0)
    counts = _active_samples(samples, sample_rate)
    thresholds_db = -20 * math.log10(2) * np.arange(1, NUM_THRESHOLDS + 1)
    levels_db = 10 * np.log10(power / np.maximum(counts, 1))
    # From the lowest threshold upwards, as far as the level lies the margin or more above it.
    margins = np.where(counts > 0, levels_db - thresholds_db - MARGIN_DB, -1.0)
    below = np.flatnonzero(margins < 0)
    at = int(below[-1]) + 1 if len(below) else 0
    if at == NUM_THRESHOLDS:
        return ActiveLevel(-math.inf, 0.0)
    level = float(levels_db[at])
    if at and counts[at - 1]:
        share = float(-margins[at - 1] / (margins[at] - margins[at - 1]))
        level += (1 - share) * float(levels_db[at - 1] - levels_db[at])
    activity = power / len(samples) / 10 ** (level / 10)
    return ActiveLevel(level, min(1.0, activity))


def _active_samples(samples: NDArray[np.float64], sample_rate: int) -> NDArray[np.int64]:
    """For each threshold, how many samples lie within the hangover after an envelope that reaches it."""
    pole = math.exp(-1 / (sample_rate * TIME_CONSTANT))
    # Two equal filters one after the other: q = g q + (1-g) p, p = g p + (1-g) |x|.
    envelope = lfilter([(1 - pole) ** 2], [1, -2 * pole, pole**2], np.abs(samples))
    hangover = math.ceil(HANGOVER * sample_rate)
    # `origin` shifts the window so that it ends at its own sample: i - hangover ... i.
    held = maximum_filter1d(
        envelope, hangover + 1, mode="constant", cval=0.0, origin=hangover - (hangover + 1) // 2
    )
    # Counting by exponent costs one pass: held >= 2^-j is exponent > -j, with held = m 2^e, 0.5 <= m < 1.
    held[held == 0] = np.finfo(np.float64).tiny  # the exponent of 0 is 0, which would count
    exponents = np.frexp(held)[1]
    steps = np.clip(1 - exponents, 1, NUM_THRESHOLDS + 1)
    return np.cumsum(np.bincount(steps, minlength=NUM_THRESHOLDS + 2)[1 : NUM_THRESHOLDS + 1])
