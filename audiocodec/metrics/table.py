"""Every score by name, with what a table or plot has to know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import InputError, MetricError, MissingPackageError
from audiocodec.metrics.bands import (
    frame_lock,
    harmonicity_2_4khz,
    harmonicity_4_7khz,
    level_1_2khz,
    level_2_4khz,
    level_4_7khz,
)
from audiocodec.metrics.distillmos import INSTALL as DISTILLMOS
from audiocodec.metrics.distillmos import distillmos
from audiocodec.metrics.dnsmos import INSTALL as DNSMOS
from audiocodec.metrics.dnsmos import dnsmos, dnsmos_bak, dnsmos_p808, dnsmos_sig
from audiocodec.metrics.intelligibility import estoi, stoi
from audiocodec.metrics.loudness import loudness_change
from audiocodec.metrics.perceptual import pesq_nb, pesq_wb
from audiocodec.metrics.pitch import f0_error, voicing_error
from audiocodec.metrics.speaker import INSTALL as SPEAKER
from audiocodec.metrics.speaker import speaker_similarity
from audiocodec.metrics.spectral import (
    log_spectral_distance,
    mel_distance,
    multi_resolution_mel_distance,
    multi_resolution_stft_distance,
)
from audiocodec.metrics.visqol import INSTALL as VISQOL
from audiocodec.metrics.visqol import visqol_audio, visqol_speech, visqol_speech_polynomial
from audiocodec.metrics.waveform import si_sdr

Wav = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Metric:
    """A score of an estimate [L] against its reference [L]; call it like the function it holds.

    Attributes:
        name: key in METRICS and column in tables.
        compute: the function.
        unit: "" for a score without one.
        better: which way is better; "zero" for a signed change.
        needs: "none" for a score that listens to the estimate alone; its reference may be None.
        modules: what has to be there beyond what comes with this package, as Python imports it.
        install: what pip takes to bring them.
        setting: what else the score depends on, such as which recognizer listens; empty when nothing does.
    """

    name: str
    compute: Callable[[Any, Wav, int], float]
    unit: str
    better: Literal["higher", "lower", "zero"]
    needs: Literal["reference", "none"] = "reference"
    modules: tuple[str, ...] = ()
    install: str = ""
    setting: str = ""

    @property
    def installed(self) -> bool:
        """Whether all of `modules` are there; what they need in turn may still be missing."""
        return all(find_spec(module) is not None for module in self.modules)

    def check_installed(self) -> None:
        """Say early that something is missing.

        Raises:
            MissingPackageError: names it, and what to install.
        """
        missing = [module for module in self.modules if find_spec(module) is None]
        if missing:
            raise MissingPackageError(
                f"{self.name} needs {', '.join(missing)}, not installed: pip install {self.install}, or"
                f" pip install 'audiocodec[scores]' for all scores; or leave {self.name} out"
            )

    def __call__(self, reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
        """Compute the score.

        Raises:
            MetricError: it cannot be computed; says why.
            MissingPackageError: one of `modules` is not installed.
        """
        if self.needs == "reference" and reference is None:
            raise MetricError(f"{self.name} needs a reference, and there is none")
        return self.compute(reference, estimate, sample_rate)


def _visqol(compute: Callable[[Any, Wav, int], float], *modules: str) -> Metric:
    return Metric(compute.__name__, compute, "MOS-LQO", "higher", "reference", ("visqol", *modules), VISQOL)


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
        _visqol(visqol_speech, "ai_edge_litert"),
        _visqol(visqol_speech_polynomial),
        _visqol(visqol_audio),
        _blind(distillmos, DISTILLMOS, "distillmos", "xls_r_sqa"),
        *(_blind(one, DNSMOS, *DNSMOS.split()) for one in (dnsmos, dnsmos_sig, dnsmos_bak, dnsmos_p808)),
        Metric("speaker_similarity", speaker_similarity, "", "higher", "reference", _SPEAKER, SPEAKER),
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
