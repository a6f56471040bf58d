"""Linear maps between latents and a narrow space in which a method quantizes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from audiocodec.quantizers.rate_distortion import reproduction_variances


class Projection(nn.Module):
    """A map into a narrow space and one back; at first an orthogonal projection, or fitted to data."""

    def __init__(self, dim: int, inner_dim: int, *, weight_norm: bool = False) -> None:
        """Maps between `dim` and `inner_dim` channels; DAC uses weight normalization."""
        super().__init__()
        self.into, self.back = nn.Linear(dim, inner_dim), nn.Linear(inner_dim, dim)
        basis = nn.init.orthogonal_(torch.empty(dim, inner_dim))
        if weight_norm:
            parametrizations.weight_norm(self.into)
            parametrizations.weight_norm(self.back)
        _set(self.into, basis.t(), torch.zeros(inner_dim))
        _set(self.back, basis, torch.zeros(dim))

    def fit_into(self, vectors: Tensor) -> None:
        """Map `vectors` [N, D] to their principal components, each of mean 0 and variance 1."""
        inner_dim = self.into.out_features
        mean, axes, deviation = principal_axes(vectors, inner_dim)
        weight = axes.t() / deviation[:, None]
        if weight.shape[0] < inner_dim:  # more inner channels than there are components: mix them
            mixing = nn.init.orthogonal_(torch.empty(inner_dim, weight.shape[0])).to(weight)
            weight = (inner_dim / weight.shape[0]) ** 0.5 * mixing @ weight
        _set(self.into, weight, -weight @ mean)

    def fit_back(self, inner: Tensor, vectors: Tensor) -> None:
        """Map `inner` [N, d] to `vectors` [N, D] by least squares."""
        inputs = torch.cat([inner, torch.ones_like(inner[:, :1])], dim=1).double()
        gram = inputs.t() @ inputs
        gram.diagonal().add_(1e-6 * gram.diagonal().mean())  # entries may be fewer than dimensions
        solution = torch.linalg.solve(gram, inputs.t() @ vectors.double()).to(vectors)
        _set(self.back, solution[:-1].t(), solution[-1])


def principal_axes(vectors: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean [D], `count` (or D) axes [D, count] of largest variance, and the deviations [count] along them."""
    mean = vectors.mean(dim=0)
    centered = (vectors - mean).double()
    variances, axes = torch.linalg.eigh(centered.t() @ centered / max(vectors.shape[0] - 1, 1))
    count = min(count, vectors.shape[1])
    deviation = variances.flip(0)[:count].clamp(min=1e-12).sqrt()
    return mean, axes.flip(1)[:, :count].to(vectors), deviation.to(vectors)


def spread_like(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [D, H] and bias [D] that make `source` [K, H] a start for a codebook for `target` [N, D].

    Its mean becomes that of the target, its covariance that of the best reproduction with log2 K bits: with
    the whole covariance, entries in many dimensions would be farther from most vectors than their mean is. No
    direction gets less than a hundredth of its variance, so that the map has full rank. Where the source
    varies in fewer directions, those of largest variance count.
    """
    rank = min(source.shape[1], target.shape[1], source.shape[0] - 1)
    mean, axes, deviation = principal_axes(target, rank)
    reproduced = reproduction_variances(deviation.square(), math.log2(source.shape[0])).sqrt()
    deviation = torch.maximum(reproduced, 0.1 * deviation)
    source_mean, source_axes, source_deviation = principal_axes(source, rank)
    weight = axes * (deviation / source_deviation) @ source_axes.t()
    return weight, mean - weight @ source_mean


@torch.no_grad()
def _set(linear: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    if parametrize.is_parametrized(linear):
        linear.weight = weight.contiguous()  # pyright: ignore[reportAttributeAccessIssue]
    else:
        linear.weight.copy_(weight)
    linear.bias.copy_(bias)
