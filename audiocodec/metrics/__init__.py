"""Scores of decoded audio: pure functions `metric(reference, estimate, sample_rate) -> float` on [L] arrays.

A score that cannot be computed is a `MetricError`, never a made-up value. Codebook statistics take indices.
"""

from audiocodec.metrics.bands import (
    frame_lock,
    frame_lock_by_band,
    harmonicity_2_4khz,
    harmonicity_4_7khz,
    level_1_2khz,
    level_2_4khz,
    level_4_7khz,
)
from audiocodec.metrics.codebook import (
    entropy,
    perplexity,
    quantization_error,
    stage_perplexity,
    stage_usage,
    token_flip_rate,
    usage,
)
from audiocodec.metrics.distillmos import distillmos
from audiocodec.metrics.dnsmos import dnsmos, dnsmos_bak, dnsmos_p808, dnsmos_sig
from audiocodec.metrics.intelligibility import estoi, stoi
from audiocodec.metrics.loudness import loudness_change
from audiocodec.metrics.perceptual import pesq_nb, pesq_wb
from audiocodec.metrics.pitch import f0_error, voicing_error
from audiocodec.metrics.speaker import speaker_similarity
from audiocodec.metrics.spectral import (
    log_spectral_distance,
    mel_distance,
    multi_resolution_mel_distance,
    multi_resolution_stft_distance,
)
from audiocodec.metrics.table import IMITATED_BY, METRICS, Metric, choose_metrics, imitated
from audiocodec.metrics.visqol import visqol_audio, visqol_speech, visqol_speech_polynomial
from audiocodec.metrics.waveform import si_sdr
from audiocodec.metrics.words import WhisperTranscriber, word_error_metric, word_error_rate

__all__ = [
    "IMITATED_BY",
    "METRICS",
    "Metric",
    "WhisperTranscriber",
    "choose_metrics",
    "distillmos",
    "dnsmos",
    "dnsmos_bak",
    "dnsmos_p808",
    "dnsmos_sig",
    "entropy",
    "estoi",
    "f0_error",
    "frame_lock",
    "frame_lock_by_band",
    "harmonicity_2_4khz",
    "harmonicity_4_7khz",
    "imitated",
    "level_1_2khz",
    "level_2_4khz",
    "level_4_7khz",
    "log_spectral_distance",
    "loudness_change",
    "mel_distance",
    "multi_resolution_mel_distance",
    "multi_resolution_stft_distance",
    "perplexity",
    "pesq_nb",
    "pesq_wb",
    "quantization_error",
    "si_sdr",
    "speaker_similarity",
    "stage_perplexity",
    "stage_usage",
    "stoi",
    "token_flip_rate",
    "usage",
    "visqol_audio",
    "visqol_speech",
    "visqol_speech_polynomial",
    "voicing_error",
    "word_error_metric",
    "word_error_rate",
]
