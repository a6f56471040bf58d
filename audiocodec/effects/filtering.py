"""Filters without delay: a response over frequency, applied to magnitudes only."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PADDING_SECONDS = 0.1
"""Silence after the end, into which the filter rings instead of into the start."""


def fast_size(length: int) -> int:
    """The next length from here on whose Fourier transform is fast."""
    return int(cast("int", fft.next_fast_len(length, real=True)))


def filter_zero_phase(
    wav: NDArray[np.float32],
    sample_rate: int,
    gains: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> NDArray[np.float32]:
    """Multiply the spectrum of wav [L] by `gains` of the frequencies in Hz; all stays where it is in time."""
    size = fast_size(len(wav) + round(PADDING_SECONDS * sample_rate))
    spectrum = np.asarray(fft.rfft(wav, size))
    response = gains(np.asarray(fft.rfftfreq(size, 1 / sample_rate), np.float64)).astype(np.float32)
    return np.asarray(fft.irfft(spectrum * response, size), np.float32)[: len(wav)]
