"""Scores of decoded audio: pure functions `metric(reference, estimate, sample_rate) -> float` on [L] arrays.

A score that cannot be computed is a `MetricError`, never a made-up value. Codebook statistics take indices.
"""

from audiocodec.metrics.codebook import entropy, perplexity, usage
from audiocodec.metrics.intelligibility import estoi, stoi
from audiocodec.metrics.perceptual import pesq_nb, pesq_wb
from audiocodec.metrics.spectral import log_spectral_distance, mel_distance
from audiocodec.metrics.table import METRICS, Metric
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
