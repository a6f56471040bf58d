"""Distances between the distributions of features and of entries, differentiable in the entries."""

from __future__ import annotations

import torch
from torch import Tensor

from audiocodec.quantizers.codebook import squared_distances


def mean_and_covariance(points: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased covariance [D, D] of points [N, D]."""
    mean = points.mean(dim=0)
    centered = points - mean
    return mean, centered.t() @ centered / max(points.shape[0] - 1, 1)


def gaussian_wasserstein(mean: Tensor, covariance: Tensor, points: Tensor) -> Tensor:
    """W2 between N(mean, covariance) and the Gaussian with the moments of `points` [K, D].

    W2^2 = |m_z - m_c|^2 + tr(S_z + S_c - 2 (S_z^1/2 S_c S_z^1/2)^1/2): "Enhancing Vector Quantization with
    Distributional Matching", section on the Gaussian case; Dowson and Landau 1982. The root of it is
    returned, as in the authors' loss. `mean` and `covariance` are constants.
    """
    points_mean, points_covariance = mean_and_covariance(points)
    with torch.no_grad():
        eigenvalues, axes = torch.linalg.eigh(covariance)
        root = (axes * (eigenvalues.relu() + 1e-8).sqrt()) @ axes.t()
    # Symmetric, so real eigenvalues and a stable gradient; S_z S_c has the same eigenvalues but is not
    # symmetric.
    between = torch.linalg.eigvalsh(root @ points_covariance @ root)
    trace_of_root = (between.relu() + 1e-8).sqrt().sum()
    traces = covariance.trace() + points_covariance.trace() - 2 * trace_of_root
    return ((mean - points_mean).square().sum() + traces.relu() + 1e-10).sqrt()


def sliced_wasserstein(
    features: Tensor, points: Tensor, projections: int, rng: torch.Generator | None = None
) -> Tensor:
    """W2 between features [M, D] and points [K, D] averaged over random lines, for any distributions.

    Rabin et al. 2012, https://doi.org/10.1007/978-3-642-24785-9_37. On a line the best transport keeps the
    order: the k-th of K points meets the features of ranks k M/K to (k + 1) M/K. M must be a multiple of K.
    The factor D makes a shift of all points cost as much as in `gaussian_wasserstein`.
    """
    count, dim = points.shape
    assert features.shape[0] % count == 0
    lines = torch.randn(dim, projections, generator=rng, device=points.device, dtype=points.dtype)
    lines = lines / lines.norm(dim=0)
    sorted_features = (features @ lines).sort(dim=0).values.view(count, -1, projections)
    sorted_points = (points @ lines).sort(dim=0).values[:, None]
    return (dim * (sorted_features - sorted_points).square().mean() + 1e-10).sqrt()


def mean_discrepancy(features: Tensor, points: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of features [M, D] and points [K, D], for distributions of any shape.

    Gretton et al. 2012, https://jmlr.org/papers/v13/gretton12a.html, equation 5 (biased): mean k(x, x') - 2
    mean k(x, c) + mean k(c, c'). k is the mean of two Gaussian kernels as in the authors' code of "Enhancing
    Vector Quantization with Distributional Matching"; widths of one and two mean distances are our choice.
    """
    everything = torch.cat([features, points])
    squares = squared_distances(everything, everything)
    width = squares.detach()[: len(features), len(features) :].sqrt().mean().clamp(min=1e-6)
    kernel = 0.5 * ((-squares / (2 * width**2)).exp() + (-squares / (8 * width**2)).exp())
    within, across, between = (
        kernel[: len(features), : len(features)],
        kernel[: len(features), len(features) :],
        kernel[len(features) :, len(features) :],
    )
    return within.mean() - 2 * across.mean() + between.mean()
