"""Which entries of a codebook are used, and which follow which."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
