"""Linear maps that a method starts from the first two moments of latents: projections, maps of codebooks.

At few bits for many dimensions the best entries vary much less than the vectors they stand for: Shannon's
bound for Gaussian vectors, Cover and Thomas, "Elements of Information Theory", 2nd edition, section 10.3.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

WATER_LEVEL_STEPS = 60
"""Halvings of the interval in which the water level lies."""


class Projection(nn.Module):
    """A map into a narrow space and one back; at first an orthogonal projection, or fitted to data."""

    def __init__(self, dim: int, inner_dim: int, *, weight_norm: bool = False) -> None:
        """Maps between `dim` and `inner_dim` channels.

        With `weight_norm`, as in DAC, there is always a map; else equal widths are left as they are.
        """
        super().__init__()
        self.into, self.back = nn.Identity(), nn.Identity()
        if dim == inner_dim and not weight_norm:
            return
        self.into, self.back = nn.Linear(dim, inner_dim), nn.Linear(inner_dim, dim)
        basis = nn.init.orthogonal_(torch.empty(dim, inner_dim))
        if weight_norm:
            parametrizations.weight_norm(self.into)
            parametrizations.weight_norm(self.back)
        _set(self.into, basis.t(), torch.zeros(inner_dim))
        _set(self.back, basis, torch.zeros(dim))

    def fit(self, vectors: Tensor, quantize: Callable[[Tensor], Tensor]) -> None:
        """Start from the principal components of `vectors` [N, D], and least squares back.

        Components get mean 0 and variance 1. `quantize` gives what comes back, [N, d], of the vectors.
        """
        into, back = self.into, self.back
        if not isinstance(into, nn.Linear) or not isinstance(back, nn.Linear):
            return
        mean, axes, deviation = _principal_axes(vectors, into.out_features)
        weight = axes.t() / deviation[:, None]
        if len(weight) < into.out_features:  # more inner channels than there are components: mix them
            mixing = nn.init.orthogonal_(torch.empty(into.out_features, len(weight))).to(weight)
            weight = (into.out_features / len(weight)) ** 0.5 * mixing @ weight
        _set(into, weight, -weight @ mean)
        inner = quantize(vectors)
        inputs = torch.cat([inner, torch.ones_like(inner[:, :1])], dim=1).double()
        gram = inputs.t() @ inputs
        gram.diagonal().add_(1e-6 * gram.diagonal().mean())  # entries may be fewer than dimensions
        solution = torch.linalg.solve(gram, inputs.t() @ vectors.double()).to(vectors)
        _set(back, solution[:-1].t(), solution[-1])


def spread_like(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [D, H] and bias [D] that make `source` [K, H] a start for a codebook for `target` [N, D].

    Its mean becomes that of the target, its covariance that of the best reproduction with log2 K bits: with
    the whole covariance, entries in many dimensions would be farther from most vectors than their mean is. No
    direction gets less than a hundredth of its variance, so that the map has full rank. If the source varies
    in fewer directions than the target, it gets those of largest variance.
    """
    rank = min(source.shape[1], target.shape[1], source.shape[0] - 1)
    mean, axes, deviation = _principal_axes(target, rank)
    reproduced = reproduction_variances(deviation.square(), math.log2(source.shape[0])).sqrt()
    deviation = torch.maximum(reproduced, 0.1 * deviation)
    source_mean, source_axes, source_deviation = _principal_axes(source, rank)
    weight = axes * (deviation / source_deviation) @ source_axes.t()
    return weight, mean - weight @ source_mean


def reproduction_variances(variances: Tensor, bits: float) -> Tensor:
    """Variances [D] of the best reproduction of independent Gaussians of `variances` [D] with `bits` in all.

    Reverse water-filling: max(v - w, 0) with the water level w at which sum max(log2(v / w), 0) / 2 = bits.
    """
    exact = variances.double().clamp(min=1e-30)
    high = exact.max().log2()
    low = high - 2 * bits  # one dimension alone would take all bits there
    for _ in range(WATER_LEVEL_STEPS):
        middle = (low + high) / 2
        too_many = 0.5 * (exact.log2() - middle).clamp(min=0).sum() > bits
        low, high = torch.where(too_many, middle, low), torch.where(too_many, high, middle)
    return (exact - ((low + high) / 2).exp2()).clamp(min=0).to(variances)


def reproduction_map(covariance: Tensor, bits: float) -> Tensor:
    """Symmetric map [D, D] that gives vectors of `covariance` that of their best reproduction."""
    variances, axes = torch.linalg.eigh(covariance)
    variances = variances.clamp(min=1e-12)
    return (axes * (reproduction_variances(variances, bits) / variances).sqrt()) @ axes.t()


def _principal_axes(vectors: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [D], `count` (or D) axes [D, count] of largest variance, and the deviations [count] along them."""
    mean = vectors.mean(dim=0)
    centered = (vectors - mean).double()
    variances, axes = torch.linalg.eigh(centered.t() @ centered / max(vectors.shape[0] - 1, 1))
    count = min(count, vectors.shape[1])
    deviation = variances.flip(0)[:count].clamp(min=1e-12).sqrt()
    return mean, axes.flip(1)[:, :count].to(vectors), deviation.to(vectors)


@torch.no_grad()
def _set(linear: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    if parametrize.is_parametrized(linear):
        linear.weight = weight.contiguous()  # pyright: ignore[reportAttributeAccessIssue]
    else:
        linear.weight.copy_(weight)
    linear.bias.copy_(bias)
