"""Scores of the waveform as a whole: its distortion and its loudness."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError, require
from audiocodec.metrics.base import Wav, check_pair

_LOUDNESS_BLOCK_SECONDS = 0.4


def si_sdr(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, means removed; infinite when only the scale differs.

    Le Roux et al. 2019, "SDR - half-baked or well done?", equation 3, https://arxiv.org/abs/1811.02508.

    Raises:
        MetricError: as `check_pair`.
    """
    target, decoded = check_pair(reference, estimate, sample_rate)
    target, decoded = target - target.mean(), decoded - decoded.mean()
    target = target * (target @ decoded / (target @ target))
    signal, noise = float(target @ target), float(((decoded - target) ** 2).sum())
    if noise <= signal * np.finfo(np.float64).eps ** 2:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def loudness_change(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """How much louder the estimate is, in LU (dB of gated, K-weighted level); 0 is best.

    ITU-R BS.1770-4. Pauses do not count: blocks below -70 LUFS, or 10 LU under the rest, are left out.

    Raises:
        MetricError: as `check_pair`, under 0.4 s, or below -70 LUFS throughout.
        MissingPackageError: pyloudnorm is not installed.
    """
    pair = check_pair(reference, estimate, sample_rate, min_seconds=_LOUDNESS_BLOCK_SECONDS)
    before, after = (
        _loudness(wav, sample_rate, name) for wav, name in zip(pair, ("reference", "estimate"), strict=True)
    )
    return after - before


def _loudness(wav: NDArray[np.float64], sample_rate: int, name: str) -> float:
    pyloudnorm = require("pyloudnorm", "loudness", "'audiocodec[evaluate]'")
    with np.errstate(divide="ignore"):
        loudness = float(pyloudnorm.Meter(sample_rate).integrated_loudness(wav))
    if not np.isfinite(loudness):
        raise MetricError(f"the {name} stays below -70 LUFS, the level from which loudness is measured")
    return loudness
