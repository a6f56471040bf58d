"""A uniform or weighted sample of bounded size out of any number of vectors; samples can be joined.

Weighted sampling without replacement by random keys: Efraimidis and Spirakis 2006,
https://doi.org/10.1016/j.ipl.2005.11.003. Whoever has the smallest keys stays, so it does not matter in which
order, or on which machine, vectors came; the random numbers of parts that are joined must differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import InputError


@dataclass(frozen=True, eq=False)
class Reservoir:
    """At most `capacity` of the vectors seen; `a + b` is what one reservoir would hold that saw both.

    Attributes:
        vectors: [n, D] float32, n <= capacity, in order of their keys.
        keys: [n] float64, exponential random numbers over the weight; ascending.
        capacity: most vectors held.
        seen: vectors that were offered.
    """

    vectors: NDArray[np.float32]
    keys: NDArray[np.float64]
    capacity: int
    seen: int

    @staticmethod
    def empty(dim: int, capacity: int) -> Reservoir:
        """Nothing yet."""
        return Reservoir(np.zeros((0, dim), np.float32), np.zeros(0), capacity, 0)

    def offer(self, vectors: NDArray[np.float32], rng: np.random.Generator, weight: float = 1.0) -> Reservoir:
        """The reservoir after vectors [N, D], each `weight` times as likely to stay as one of weight 1."""
        keys = rng.standard_exponential(len(vectors)) / weight
        if len(self.keys) == self.capacity:  # most are refused at once
            chosen = keys < self.keys[-1]
            held = Reservoir(vectors[chosen], keys[chosen], self.capacity, len(vectors))
        else:
            held = Reservoir(vectors, keys, self.capacity, len(vectors))
        return self + held

    def __add__(self, other: Reservoir) -> Reservoir:
        """Of both; the smaller capacity counts.

        Raises:
            InputError: their vectors differ in width.
        """
        if self.vectors.shape[1] != other.vectors.shape[1]:
            widths = (self.vectors.shape[1], other.vectors.shape[1])
            raise InputError(f"reservoirs of vectors of width {widths[0]} and {widths[1]} cannot be joined")
        capacity, seen = min(self.capacity, other.capacity), self.seen + other.seen
        if not len(other.keys) and capacity == self.capacity:
            return Reservoir(self.vectors, self.keys, capacity, seen)
        keys = np.concatenate([self.keys, other.keys])
        order = np.argsort(keys, kind="stable")[:capacity]
        vectors = np.concatenate([self.vectors, other.vectors])[order]
        return Reservoir(vectors, keys[order], capacity, seen)
