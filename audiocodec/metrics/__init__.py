"""Scores of decoded audio: pure functions `metric(reference, estimate, sample_rate) -> float` on [L] arrays.

METRICS lists every score by name. One that cannot be computed is a `MetricError`, never a made-up value.
Codebook statistics take indices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from audiocodec.errors import InputError
from audiocodec.metrics.bands import (
    frame_lock,
    frame_lock_by_band,
    harmonicity_2_4khz,
    harmonicity_4_7khz,
    level_1_2khz,
    level_2_4khz,
    level_4_7khz,
)
from audiocodec.metrics.base import Metric, Wav
from audiocodec.metrics.codebook import (
    entropy,
    perplexity,
    quantization_error,
    stage_perplexity,
    stage_usage,
    token_flip_rate,
    usage,
)
from audiocodec.metrics.judges import (
    INSTALL_DISTILLMOS,
    INSTALL_DNSMOS,
    INSTALL_SPEAKER,
    distillmos,
    dnsmos,
    dnsmos_bak,
    dnsmos_p808,
    dnsmos_sig,
    speaker_similarity,
)
from audiocodec.metrics.perceptual import (
    INSTALL_VISQOL,
    estoi,
    pesq_nb,
    pesq_wb,
    stoi,
    visqol_audio,
    visqol_speech,
    visqol_speech_polynomial,
)
from audiocodec.metrics.pitch import f0_error, voicing_error
from audiocodec.metrics.spectral import (
    log_spectral_distance,
    mel_distance,
    multi_resolution_mel_distance,
    multi_resolution_stft_distance,
)
from audiocodec.metrics.waveform import loudness_change, si_sdr
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


def _visqol_metric(compute: Callable[[Any, Wav, int], float], *modules: str) -> Metric:
    return Metric(
        compute.__name__, compute, "MOS-LQO", "higher", "reference", ("visqol", *modules), INSTALL_VISQOL
    )


def _blind(compute: Callable[[Any, Wav, int], float], install: str, *modules: str) -> Metric:
    return Metric(compute.__name__, compute, "MOS", "higher", "none", modules, install)


_SPEAKER = ("resemblyzer", "webrtcvad")

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("pesq_wb", pesq_wb, "MOS-LQO", "higher"),
        Metric("pesq_nb", pesq_nb, "MOS-LQO", "higher"),
        Metric("stoi", stoi, "", "higher"),
        Metric("estoi", estoi, "", "higher"),
        Metric("si_sdr", si_sdr, "dB", "higher"),
        Metric("mel_distance", mel_distance, "log10", "lower"),
        Metric("multi_resolution_mel_distance", multi_resolution_mel_distance, "log10", "lower"),
        Metric("multi_resolution_stft_distance", multi_resolution_stft_distance, "", "lower"),
        Metric("log_spectral_distance", log_spectral_distance, "dB", "lower"),
        Metric("f0_error", f0_error, "cents", "lower"),
        Metric("voicing_error", voicing_error, "", "lower"),
        Metric("loudness_change", loudness_change, "LU", "zero", "reference", ("pyloudnorm",), "pyloudnorm"),
        Metric("level_1_2khz", level_1_2khz, "dB", "zero"),
        Metric("level_2_4khz", level_2_4khz, "dB", "zero"),
        Metric("level_4_7khz", level_4_7khz, "dB", "zero"),
        Metric("harmonicity_2_4khz", harmonicity_2_4khz, "", "higher"),
        Metric("harmonicity_4_7khz", harmonicity_4_7khz, "", "higher"),
        Metric("frame_lock", frame_lock, "dB", "lower"),
        _visqol_metric(visqol_speech, "ai_edge_litert"),
        _visqol_metric(visqol_speech_polynomial),
        _visqol_metric(visqol_audio),
        _blind(distillmos, INSTALL_DISTILLMOS, "distillmos", "xls_r_sqa"),
        *(
            _blind(one, INSTALL_DNSMOS, *INSTALL_DNSMOS.split())
            for one in (dnsmos, dnsmos_sig, dnsmos_bak, dnsmos_p808)
        ),
        Metric(
            "speaker_similarity", speaker_similarity, "", "higher", "reference", _SPEAKER, INSTALL_SPEAKER
        ),
    )
}
"""The word error rate joins them through `audiocodec.metrics.words`, as it needs a speech recognizer."""

_MEL_DISTANCES = ("mel_distance", "multi_resolution_mel_distance")
_STFT_DISTANCES = ("log_spectral_distance", "multi_resolution_stft_distance")
IMITATED_BY: dict[str, tuple[str, ...]] = {
    "loudness": ("pesq_wb", "pesq_nb"),
    "intelligibility": ("stoi", "estoi"),
    "mel": (*_MEL_DISTANCES, *_STFT_DISTANCES),
    "logspectrum": (*_MEL_DISTANCES, *_STFT_DISTANCES),
    "spectrum": _STFT_DISTANCES,
    "waveform": ("si_sdr",),
}
"""Scores that a loss of a recipe imitates, by the loss's name: of a model trained by it they say too much."""


def imitated(weights: Mapping[str, float]) -> tuple[str, ...]:
    """Scores that losses of these weights imitate, in the order of METRICS; weight 0 does not count."""
    names = {name for loss, weight in weights.items() if weight > 0 for name in IMITATED_BY.get(loss, ())}
    return tuple(name for name in METRICS if name in names)


def choose_metrics(names: Iterable[str | Metric]) -> tuple[Metric, ...]:
    """Metrics by name, or at hand, each once; "all" gives all that are installed.

    Raises:
        InputError: a name is not known.
        MissingPackageError: what one needs is not installed.
    """
    chosen: dict[str, Metric] = {}
    for name in names:
        if name == "all":
            chosen |= {metric.name: metric for metric in METRICS.values() if metric.installed}
            continue
        if isinstance(name, str) and name not in METRICS:
            raise InputError(f"no metric {name!r}; choose from {', '.join(METRICS)}, or all")
        metric = METRICS[name] if isinstance(name, str) else name
        metric.check_installed()
        chosen[metric.name] = metric
    return tuple(chosen.values())
