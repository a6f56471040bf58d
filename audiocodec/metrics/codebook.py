"""How well the entries of a codebook are used."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError


def entropy(indices: NDArray[np.integer], codebook_size: int) -> float:
    """Empirical entropy of indices (any shape) in bits per index: what an ideal coder without memory pays.

    Raises:
        MetricError: no indices, or one outside [0, codebook_size).
    """
    shares = _counts(indices, codebook_size) / indices.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0.0


def perplexity(indices: NDArray[np.integer], codebook_size: int) -> float:
    """Number of entries that, used equally, would have the entropy of these indices: 1 to codebook_size.

    Raises:
        MetricError: as `entropy`.
    """
    return math.exp2(entropy(indices, codebook_size))


def usage(indices: NDArray[np.integer], codebook_size: int) -> float:
    """Fraction of the entries that appear at least once: 0 to 1.

    Raises:
        MetricError: as `entropy`.
    """
    return float((_counts(indices, codebook_size) > 0).mean())


def _counts(indices: NDArray[np.integer], codebook_size: int) -> NDArray[np.int64]:
    if not indices.size:
        raise MetricError("no indices; encode some audio first")
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= codebook_size:
        raise MetricError(f"indices from {low} to {high} lie outside a codebook of {codebook_size} entries")
    return np.bincount(indices.ravel(), minlength=codebook_size)
