"""What quantization leaves over: mean and distribution of squared errors, of bounded size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOWEST_DB, HIGHEST_DB = -80, 60
"""Ends of the histogram; the first and last bin also hold what lies beyond."""
BINS = HIGHEST_DB - LOWEST_DB
"""One a decibel."""


@dataclass(frozen=True, eq=False)
class ErrorStatistics:
    """Of the squared length of what a stage leaves of each latent vector; `a + b` are those of both sets.

    Attributes:
        count: vectors.
        total: sum of their squared errors.
        squares: sum of the squares of these.
        histogram: [BINS] int64, vectors by 10 log10 of the squared error, a decibel each.
    """

    count: int
    total: float
    squares: float
    histogram: NDArray[np.int64]

    @staticmethod
    def empty() -> ErrorStatistics:
        """Of no vectors."""
        return ErrorStatistics(0, 0.0, 0.0, np.zeros(BINS, np.int64))

    @staticmethod
    def of(squared_errors: NDArray[np.floating]) -> ErrorStatistics:
        """Of squared errors [N]."""
        errors = squared_errors.astype(np.float64)
        return ErrorStatistics(len(errors), float(errors.sum()), float((errors**2).sum()), histogram(errors))

    @property
    def mean(self) -> float:
        """Mean squared error, summed over the dimensions; 0 of nothing."""
        return self.total / max(self.count, 1)

    def __add__(self, other: ErrorStatistics) -> ErrorStatistics:
        """Of both sets."""
        return ErrorStatistics(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            self.histogram + other.histogram,
        )

    def quantile(self, share: float) -> float:
        """Squared error in dB below which `share` of the vectors lie, to half a decibel."""
        reached = np.cumsum(self.histogram) >= share * max(self.count, 1)
        return LOWEST_DB + float(np.argmax(reached)) + 0.5


def histogram(squared_errors: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number of squared errors [N] in each decibel [BINS]."""
    decibels = 10 * np.log10(np.maximum(squared_errors, 1e-30))
    bins = np.clip(np.floor(decibels) - LOWEST_DB, 0, BINS - 1).astype(np.int64)
    return np.bincount(bins, minlength=BINS).astype(np.int64)
