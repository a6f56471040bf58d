"""Every score by name, with what a table or plot has to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError
from audiocodec.metrics.dnsmos import dnsmos, dnsmos_p808
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
        package: module that has to be installed beyond what comes with this one.
        setting: what else the score depends on, such as which recogniser listens; empty when nothing does.
    """

    name: str
    compute: Callable[[Any, Wav, int], float]
    unit: str
    better: Literal["higher", "lower", "zero"]
    needs: Literal["reference", "none"] = "reference"
    package: str | None = None
    setting: str = ""

    @property
    def installed(self) -> bool:
        """Whether `package` is there; what it needs in turn may still be missing."""
        return self.package is None or find_spec(self.package) is not None

    def __call__(self, reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
        """Compute the score.

        Raises:
            MetricError: it cannot be computed; says why.
            MissingPackageError: `package` is not installed.
        """
        if self.needs == "reference" and reference is None:
            raise MetricError(f"{self.name} needs a reference, and there is none")
        return self.compute(reference, estimate, sample_rate)


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
        Metric("loudness_change", loudness_change, "LU", "zero", package="pyloudnorm"),
        Metric("visqol_speech", visqol_speech, "MOS-LQO", "higher", package="visqol"),
        Metric("visqol_speech_polynomial", visqol_speech_polynomial, "MOS-LQO", "higher", package="visqol"),
        Metric("visqol_audio", visqol_audio, "MOS-LQO", "higher", package="visqol"),
        Metric("dnsmos", dnsmos, "MOS", "higher", needs="none", package="speechmos"),
        Metric("dnsmos_p808", dnsmos_p808, "MOS", "higher", needs="none", package="speechmos"),
        Metric("speaker_similarity", speaker_similarity, "", "higher", package="resemblyzer"),
    )
}
"""The word error rate joins them through `audiocodec.metrics.words`, as it needs a speech recogniser."""
