"""Scores sample by sample."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from audiocodec.metrics.pair import check_pair


def si_sdr(reference: NDArray[np.floating], estimate: NDArray[np.floating], sample_rate: int) -> float:
    """Scale-invariant signal-to-distortion ratio in dB, means removed; infinite when only the scale differs.

    Le Roux et al. 2019, "SDR - half-baked or well done?", equation 3, https://arxiv.org/abs/1811.02508.

    Raises:
        MetricError: as `check_pair`.
    """
    target, heard = check_pair(reference, estimate, sample_rate)
    target, heard = target - target.mean(), heard - heard.mean()
    target = target * (target @ heard / (target @ target))
    signal, noise = float(target @ target), float(((heard - target) ** 2).sum())
    if noise <= signal * np.finfo(np.float64).eps ** 2:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
