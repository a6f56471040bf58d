"""Sums of bounded size that can be joined: moments, use of codes, errors, and a sample of vectors."""

from __future__ import annotations

import math
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


BIGRAM_BUCKETS = 1024
"""Pairs of codes are counted by a hash of the pair: exact pairs would be a million for 1024 entries."""
_FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CodeUse:
    """Of one row of codes; `a + b` is that of both.

    Attributes:
        counts: [K] int64, frames by entry.
        bigrams: [BIGRAM_BUCKETS] int64, pairs of consecutive frames by `bigram_buckets`.
        repeats: pairs of consecutive frames with the same code.
    """

    counts: Counts
    bigrams: Counts
    repeats: int

    @staticmethod
    def empty(codebook_size: int) -> CodeUse:
        """Of no codes."""
        return CodeUse(np.zeros(codebook_size, np.int64), np.zeros(BIGRAM_BUCKETS, np.int64), 0)

    @property
    def frames(self) -> int:
        """Frames counted."""
        return int(self.counts.sum())

    @property
    def pairs(self) -> int:
        """Pairs of consecutive frames counted."""
        return int(self.bigrams.sum())

    @property
    def usage(self) -> float:
        """Fraction of the entries that were used; grows with the number of frames."""
        return float((self.counts > 0).mean())

    @property
    def entropy(self) -> float:
        """Empirical entropy, bits per code."""
        return _entropy(self.counts)

    @property
    def perplexity(self) -> float:
        """2 to the entropy: entries that are as good as in even use."""
        return math.exp2(self.entropy)

    @property
    def repeat_rate(self) -> float:
        """Share of the frames whose code is that of the frame before; 0 of nothing."""
        return self.repeats / max(self.pairs, 1)

    def __add__(self, other: CodeUse) -> CodeUse:
        """Of both."""
        return CodeUse(self.counts + other.counts, self.bigrams + other.bigrams, self.repeats + other.repeats)


def bigram_buckets(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bucket in [0, BIGRAM_BUCKETS) of each pair of codes; the same on every machine, for ever."""
    mixed = before.astype(np.uint64) * _FIRST + (after.astype(np.uint64) + np.uint64(1)) * _SECOND
    mixed ^= mixed >> np.uint64(32)
    mixed *= _FIRST
    return (mixed >> np.uint64(64 - 10)).astype(np.int64)


def _entropy(counts: Counts) -> float:
    shares = counts[counts > 0] / max(int(counts.sum()), 1)
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0.0


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


def histogram(squared_errors: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number of squared errors [N] in each decibel [BINS]."""
    decibels = 10 * np.log10(np.maximum(squared_errors, 1e-30))
    bins = np.clip(np.floor(decibels) - LOWEST_DB, 0, BINS - 1).astype(np.int64)
    return np.bincount(bins, minlength=BINS).astype(np.int64)


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
