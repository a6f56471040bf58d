"""What every comparison needs first: equal lengths, finite samples, some sound, a known sample rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import check_sample_rate, resample
from audiocodec.errors import MetricError, SampleRateError

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def check_pair(
    reference: NDArray[np.floating],
    estimate: NDArray[np.floating],
    sample_rate: int,
    min_seconds: float = 0.0,
    silence_allowed: bool = False,
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
