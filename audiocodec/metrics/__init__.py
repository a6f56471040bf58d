"""Scores of decoded audio: pure functions `metric(reference, estimate, sample_rate) -> float` on [L] arrays.

A score that cannot be computed is a `MetricError`, never a made-up value. Codebook statistics take indices.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audiocodec.metrics.codebook import entropy, perplexity, usage
from audiocodec.metrics.intelligibility import estoi, stoi
from audiocodec.metrics.perceptual import pesq_nb, pesq_wb
from audiocodec.metrics.spectral import log_spectral_distance, mel_distance
from audiocodec.metrics.waveform import si_sdr

__all__ = [
    "METRICS",
    "Metric",
    "entropy",
    "estoi",
    "log_spectral_distance",
    "mel_distance",
    "perplexity",
    "pesq_nb",
    "pesq_wb",
    "si_sdr",
    "stoi",
    "usage",
]

Metric = Callable[[NDArray[np.floating], NDArray[np.floating], int], float]

METRICS: dict[str, Metric] = {
    "pesq_wb": pesq_wb,
    "pesq_nb": pesq_nb,
    "stoi": stoi,
    "estoi": estoi,
    "si_sdr": si_sdr,
    "mel_distance": mel_distance,
    "log_spectral_distance": log_spectral_distance,
}
