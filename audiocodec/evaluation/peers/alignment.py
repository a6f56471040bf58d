"""Putting decoded audio where its input was: codecs delay, and programs remove some of it, or none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiocodec.evaluation.peers.base import Samples

_CLEARLY_BETTER = 0.1
"""What another delay must correlate better than the expected one: in vowels many come close."""


def correlations(
    reference: Samples, estimate: Samples, most: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cross-correlate [L] with [L'] delayed by -most to most samples: delays, and values in [-1, 1].

    Both are zero beyond their ends.
    """
    size = 1 << (len(reference) + len(estimate) + most).bit_length()
    spectra = np.fft.rfft(reference, size).conj() * np.fft.rfft(estimate, size)
    delays = np.arange(-most, most + 1)
    energy = np.sqrt(np.dot(reference, reference) * float(np.dot(estimate, estimate)))
    return delays, np.fft.irfft(spectra, size)[delays] / max(energy, 1e-12)


def find_delay(reference: Samples, estimate: Samples, expected: int, most: int) -> int:
    """Samples by which [L'] comes later than [L]: the expected number unless another fits clearly better."""
    delays, values = correlations(reference, estimate, max(most, abs(expected)))
    best = int(np.argmax(values))
    at_expected = float(values[expected - delays[0]])
    return int(delays[best]) if values[best] > at_expected + _CLEARLY_BETTER else expected


def shift(wav: Samples, delay: int) -> Samples:
    """Drop the first `delay` samples of [L], or put as many zeros before it when negative."""
    return wav[delay:] if delay >= 0 else np.pad(wav, (-delay, 0))
