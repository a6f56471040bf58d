"""Filters without delay: a response over frequency, applied to magnitudes only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PADDING_SECONDS = 0.1
"""Silence after the end, into which the filter rings instead of into the start."""


def filter_zero_phase(
    wav: NDArray[np.float32],
    sample_rate: int,
    gains: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> NDArray[np.float32]:
    """Multiply the spectrum of wav [L] by `gains` of the frequencies in Hz; all stays where it is in time."""
    size = int(fft.next_fast_len(len(wav) + round(PADDING_SECONDS * sample_rate), real=True))
    spectrum = np.asarray(fft.rfft(wav, size))
    response = gains(np.asarray(fft.rfftfreq(size, 1 / sample_rate), np.float64)).astype(np.float32)
    return np.asarray(fft.irfft(spectrum * response, size), np.float32)[: len(wav)]
