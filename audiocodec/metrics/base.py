"""What every score has: a name, a unit, a direction; and two signals that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import check_sample_rate, resample
from audiocodec.errors import MetricError, MissingPackageError, SampleRateError

Wav = NDArray[np.floating[Any]]
Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Metric:
    """A score of an estimate [L] against its reference [L]; call it like the function it holds.

    Attributes:
        name: key in METRICS and column in tables.
        compute: the function.
        unit: "" for a score without one.
        better: which way is better; "zero" for a signed change.
        needs: "none" for a score of the estimate alone; its reference may be None.
        modules: packages it needs beyond those that come with this one, as Python imports them.
        install: what pip takes to install them.
        setting: what else the score depends on, such as which recognizer is used; empty when nothing does.
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


def check_pair(
    reference: Wav, estimate: Wav, sample_rate: int, min_seconds: float = 0.0, silence_allowed: bool = False
) -> Pair:
    """Return both signals [L] as float64.

    Raises:
        MetricError: shapes differ, too short, not finite, silent (constant), or an unsupported rate.
    """
    try:
        check_sample_rate(sample_rate)
    except SampleRateError as error:
        raise MetricError(str(error)) from error
    if reference.ndim != 1 or estimate.ndim != 1:
        raise MetricError(f"shapes {reference.shape} and {estimate.shape}: compare one channel [L] at a time")
    if len(reference) != len(estimate):
        raise MetricError(f"{len(reference)} and {len(estimate)} samples: align and cut to one length first")
    if len(reference) < max(1, min_seconds * sample_rate):
        seconds = len(reference) / sample_rate
        raise MetricError(f"{seconds:.3f} s is too short for this score, which needs {min_seconds:g} s")
    for name, wav in (("reference", reference), ("estimate", estimate)):
        if not np.isfinite(wav).all():
            raise MetricError(f"the {name} has samples that are not finite numbers")
        if not silence_allowed and np.ptp(wav) == 0:
            raise MetricError(f"the {name} is silent")
    return reference.astype(np.float64), estimate.astype(np.float64)


def at_rate(pair: Pair, sample_rate: int, target_rate: int) -> Pair:
    """Resample both signals, by soxr at its highest quality."""
    if sample_rate == target_rate:
        return pair
    both = resample(np.stack(pair).astype(np.float32), sample_rate, target_rate).astype(np.float64)
    return both[0], both[1]


def check_score(name: str, score: float, remedy: str = "the signals do not match") -> float:
    """Return a score that a library computed.

    Raises:
        MetricError: it is not a finite number.
    """
    if not np.isfinite(score):
        raise MetricError(f"{name} came out as {score}; {remedy}")
    return score
