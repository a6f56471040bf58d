"""Every score by name, with what a table or plot has to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError
from audiocodec.metrics.intelligibility import estoi, stoi
from audiocodec.metrics.perceptual import pesq_nb, pesq_wb
from audiocodec.metrics.spectral import log_spectral_distance, mel_distance
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
        package: what has to be installed beyond the package itself.
    """

    name: str
    compute: Callable[[Any, Wav, int], float]
    unit: str
    better: Literal["higher", "lower", "zero"]
    needs: Literal["reference", "none"] = "reference"
    package: str | None = None

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
        Metric("log_spectral_distance", log_spectral_distance, "dB", "lower"),
    )
}
