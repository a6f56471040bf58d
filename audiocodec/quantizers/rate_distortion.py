"""Where the entries of a codebook of so many bits should lie: Shannon's bound for Gaussian vectors.

Cover and Thomas, "Elements of Information Theory", 2nd edition, section 10.3.3. At few bits for many
dimensions the best entries vary much less than the vectors they stand for.
"""

from __future__ import annotations

import torch
from torch import Tensor

STEPS = 60
"""Halvings of the interval in which the water level lies."""


def reproduction_variances(variances: Tensor, bits: float) -> Tensor:
    """Variances [D] of the best reproduction of independent Gaussians of `variances` [D] with `bits` in all.

    Reverse water-filling: max(v - w, 0) with the water level w at which sum max(log2(v / w), 0) / 2 = bits.
    """
    exact = variances.double().clamp(min=1e-30)
    high = exact.max().log2()
    low = high - 2 * bits  # one dimension alone would take all bits there
    for _ in range(STEPS):
        middle = (low + high) / 2
        too_many = 0.5 * (exact.log2() - middle).clamp(min=0).sum() > bits
        low, high = torch.where(too_many, middle, low), torch.where(too_many, high, middle)
    return (exact - ((low + high) / 2).exp2()).clamp(min=0).to(variances)


def reproduction_map(covariance: Tensor, bits: float) -> Tensor:
    """Symmetric map [D, D] that gives vectors of `covariance` that of their best reproduction."""
    variances, axes = torch.linalg.eigh(covariance)
    variances = variances.clamp(min=1e-12)
    return (axes * (reproduction_variances(variances, bits) / variances).sqrt()) @ axes.t()
