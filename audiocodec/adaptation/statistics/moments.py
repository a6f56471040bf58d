"""Number, mean and covariance of vectors, in double precision, that can be joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Moments:
    """Of vectors [N, D]; `a + b` are those of both sets.

    Joined by the update of Chan, Golub and LeVeque 1983, https://doi.org/10.1080/00031305.1983.10483115.

    Attributes:
        count: number of vectors N.
        mean: [D].
        scatter: [D, D], sum of outer products of what differs from the mean.
    """

    count: int
    mean: Array
    scatter: Array

    @staticmethod
    def empty(dim: int) -> Moments:
        """Of no vectors of width `dim`."""
        return Moments(0, np.zeros(dim), np.zeros((dim, dim)))

    @staticmethod
    def of(vectors: NDArray[np.floating]) -> Moments:
        """Of vectors [N, D], summed in double precision."""
        rows = vectors.astype(np.float64)
        if not len(rows):
            return Moments.empty(rows.shape[1])
        mean = rows.mean(axis=0)
        centered = rows - mean
        return Moments(len(rows), mean, centered.T @ centered)

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return len(self.mean)

    @property
    def covariance(self) -> Array:
        """[D, D], divided by N."""
        return self.scatter / max(self.count, 1)

    @property
    def variance(self) -> float:
        """Mean squared distance to the mean, summed over the D dimensions."""
        return float(np.trace(self.scatter)) / max(self.count, 1)

    def __add__(self, other: Moments) -> Moments:
        """Of both sets of vectors."""
        if self.dim != other.dim:
            raise InputError(f"moments of vectors of width {self.dim} and {other.dim} cannot be joined")
        count = self.count + other.count
        if not count:
            return self
        difference = other.mean - self.mean
        mean = self.mean + difference * (other.count / count)
        between = np.outer(difference, difference) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)
