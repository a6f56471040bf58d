"""One channel out of many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import InputError

CANCELLED = 1e-3
"""Channels whose mean stays below this share of their own peak cancel each other: -60 dB."""


def mono(blocks: Iterable[NDArray[np.float32]], name: object) -> Iterator[NDArray[np.float32]]:
    """The mean of the channels of the blocks [C, L] of a recording called `name`, as blocks [1, L].

    Raises:
        InputError: after the last block, when the channels cancel each other, as those of stereo do of which
            one is inverted.
    """
    peak = mixed_peak = 0.0
    for block in blocks:
        mixed = block.mean(axis=0, keepdims=True)
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
        mixed_peak = max(mixed_peak, float(np.abs(mixed).max(initial=0.0)))
        yield mixed
    if mixed_peak < CANCELLED * peak:
        raise InputError(
            f"{name}: its channels cancel each other where they are averaged;"
            " invert one of them, or keep one alone"
        )
