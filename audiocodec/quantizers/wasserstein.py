"""Wasserstein VQ, the codebook takes the distribution of the features: https://arxiv.org/abs/2506.15078.

"Enhancing Vector Quantization with Distributional Matching". A queue remembers past features; distances
between distributions are differentiable in the entries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Terms
from audiocodec.quantizers.codebook import chunk_rows, sample_rows, squared_distances
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.projection import reproduction_map
from audiocodec.quantizers.vector import VectorQuantizer
from audiocodec.ranks import from_first_rank, gather_rows

Variant = Literal["gaussian", "sliced", "mmd"]
Target = Literal["features", "zador", "rate"]
REFERENCE_SIZE = 1024
"""Number of earlier features from which densities are estimated."""


@dataclass(frozen=True)
class Matching:
    """The distance between features and codebook that the loss makes small.

    Attributes:
        variant: "gaussian", closed form of the first two moments; "sliced", for any distribution; "mmd", the
            maximum mean discrepancy in its place.
        target: "features"; "zador", their density f to the power d / (d + 2), which gives the least squared
            error if entries are many; or "rate", features drawn to their mean as far as Shannon's bound for
            Gaussians at log2 K bits says, for few entries in many dimensions.
        wasserstein_weight: weight of the distance in the loss; the paper's VQ-VAE has 0.5.
        queue_size: number of past features; the paper has 65,536.
        projections: random lines in each step of "sliced".
        covariance_scale: multiplies the features' covariance; the paper's VAR model has 0.25, and so has the
            authors' "mmd" (features half as far from their mean).
    """

    variant: Variant = "gaussian"
    target: Target = "features"
    wasserstein_weight: float = 0.5
    queue_size: int = 65536
    projections: int = 32
    covariance_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name, allowed in (("variant", get_args(Variant)), ("target", get_args(Target))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; choose {', '.join(allowed)}")
        for name, least in (("queue_size", 2), ("projections", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed are whole numbers from {least}")


class WassersteinVectorQuantizer(VectorQuantizer):
    """VQ-VAE's losses plus the 2-Wasserstein distance between codebook and a queue of past features.

    Features are constants, so the distance moves the codebook only. Both are divided by the largest deviation
    of the features first. In a stack every stage has a queue of its own, filled with its residuals. Weights
    0.1 and 1.0 of the first two losses are those of the paper's VQ-VAE.
    """

    option_groups = {"parts": Parts(commitment_weight=0.1), "matching": Matching()}  # noqa: RUF012  typed ClassVar in the base

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        matching: Matching | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__(dim, codebook_size, parts=parts)
        self.matching: Matching = matching or self.option_groups["matching"]
        self.queue = FeatureQueue(self.matching.queue_size, dim)
        torch.nn.init.normal_(self.codebook, std=0.01)

    @torch.no_grad()
    def before_step(self, vectors: Tensor) -> None:
        """Remember the features of all ranks."""
        super().before_step(vectors)
        rows = gather_rows(vectors)
        if rows.shape[0]:
            zador = self.matching.target == "zador"
            self.queue.push(rows, from_first_rank(self.queue.zador_weights(rows)) if zador else None)

    def codebook_terms(self, vectors: Tensor, chosen: Tensor, codebook: Tensor) -> Terms:
        """VQ-VAE's codebook loss, and in training the distance between distributions."""
        terms = super().codebook_terms(vectors, chosen, codebook)
        if self.training and int(self.queue.filled) > 1:
            terms["wasserstein"] = (self.matching.wasserstein_weight, self._distance(codebook))
        return terms

    def _distance(self, codebook: Tensor) -> Tensor:
        mean, covariance = self.queue.moments()
        scale = covariance.diagonal().max().clamp(min=1e-12).sqrt()
        shrink = self._shrink(covariance)
        if self.matching.variant == "gaussian":
            covariance = shrink @ covariance @ shrink / scale**2
            return gaussian_wasserstein(mean / scale, covariance, codebook / scale)
        if self.matching.variant == "mmd":
            return mean_discrepancy(*(x / scale for x in self._discrepancy_samples(mean, shrink, codebook)))
        size = codebook.shape[0]
        count = size * max(1, min(int(self.queue.filled), 4 * size) // size)
        features = self._sample(count, mean, shrink)
        return sliced_wasserstein(features / scale, codebook / scale, self.matching.projections)

    def _shrink(self, covariance: Tensor) -> Tensor:
        """Map [D, D] of centered features to those that the codebook should match."""
        whole = self.matching.covariance_scale**0.5 * torch.eye(self.dim, device=covariance.device)
        if self.matching.target != "rate":
            return whole
        return whole @ reproduction_map(covariance, math.log2(self.codebook_sizes[0]))

    def _sample(self, count: int, mean: Tensor, shrink: Tensor) -> Tensor:
        """Features [count, D] of the queue, shrunk to their mean."""
        return mean + (from_first_rank(self.queue.sample(count)) - mean) @ shrink

    def _discrepancy_samples(self, mean: Tensor, shrink: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
        """As many features and entries as fit a square of distances of one chunk."""
        most = math.isqrt(chunk_rows(1)) // 2
        points = codebook
        if codebook.shape[0] > most:
            picked = torch.randperm(codebook.shape[0], device=codebook.device)[:most]
            points = codebook[from_first_rank(picked)]
        return self._sample(min(most, int(self.queue.filled)), mean, shrink), points


class FeatureQueue(nn.Module):
    """Up to `capacity` features [D] with weights; only filled places count.

    Sums over the queue are kept up to date in double precision, so the cost of a step does not grow with the
    queue; they are computed again after each full turn of the queue.
    """

    features: Tensor
    weights: Tensor
    first_sum: Tensor
    second_sum: Tensor
    filled: Tensor
    cursor: Tensor

    def __init__(self, capacity: int, dim: int) -> None:
        """Start empty."""
        super().__init__()
        buffers = {
            "features": torch.zeros(capacity, dim),
            "weights": torch.zeros(capacity),
            "first_sum": torch.zeros(dim, dtype=torch.float64),
            "second_sum": torch.zeros(dim, dim, dtype=torch.float64),
            "filled": torch.zeros((), dtype=torch.long),
            "cursor": torch.zeros((), dtype=torch.long),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)

    @torch.no_grad()
    def push(self, rows: Tensor, weights: Tensor | None = None) -> None:
        """Add features [N, D] with weights [N], by default 1, in place of the oldest."""
        capacity = self.features.shape[0]
        rows = rows[-capacity:]
        weights = torch.ones_like(rows[:, 0]) if weights is None else weights[-capacity:]
        places = (int(self.cursor) + torch.arange(len(rows), device=rows.device)) % capacity
        self._count(places, -1)  # places never filled weigh 0
        self.features[places], self.weights[places] = rows, weights
        self._count(places, 1)
        went_round = int(self.cursor) + len(rows) >= capacity
        self.cursor.fill_((int(self.cursor) + len(rows)) % capacity)
        self.filled.fill_(min(int(self.filled) + len(rows), capacity))
        if went_round:
            self.first_sum.zero_()
            self.second_sum.zero_()
            self._count(torch.arange(capacity, device=rows.device), 1)

    def _count(self, places: Tensor, sign: int) -> None:
        rows, weights = self.features[places].double(), self.weights[places].double()
        self.first_sum += sign * (weights @ rows)
        self.second_sum += sign * ((weights[:, None] * rows).t() @ rows)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Weighted mean [D] and covariance [D, D], unbiased for equal weights; needs two features."""
        count, total = int(self.filled), self.weights.double().sum()
        mean = self.first_sum / total
        covariance = (self.second_sum / total - torch.outer(mean, mean)) * (count / (count - 1))
        return mean.float(), covariance.float()

    def sample(self, count: int) -> Tensor:
        """Draw `count` features with probabilities by weight; without repetition if all weights are equal."""
        rows, weights = self.features[: int(self.filled)], self.weights[: int(self.filled)]
        if bool((weights == weights[0]).all()):
            return sample_rows(rows, count)
        cumulated = weights.double().cumsum(dim=0)
        drawn = torch.rand(count, device=rows.device, dtype=torch.float64) * cumulated[-1]
        return rows[torch.searchsorted(cumulated, drawn).clamp(max=len(rows) - 1)]

    def zador_weights(self, rows: Tensor) -> Tensor:
        """Weights [N] proportional to f^(-2 / (D + 2)), which turn a density f into f^(D / (D + 2)).

        That is the density of entries with the least squared error in the limit of many: Zador 1982,
        https://doi.org/10.1109/TIT.1982.1056490. f is taken from the distance r to the nearest of M features,
        f ~ 1 / (M r^D): the mean of (M^(1/D) r)^(2 D / (D + 2)) goes with the wanted power of f.
        """
        dim = rows.shape[1]
        if int(self.filled) >= REFERENCE_SIZE:
            radius = _nearest_radius(rows, sample_rows(self.features[: int(self.filled)], REFERENCE_SIZE))
        elif len(rows) > 1:
            first, second = rows.chunk(2)
            radius = torch.cat([_nearest_radius(first, second), _nearest_radius(second, first)])
        else:
            radius = torch.ones_like(rows[:, 0])
        return radius.clamp(min=1e-12) ** (2 * dim / (dim + 2))


def _nearest_radius(rows: Tensor, reference: Tensor) -> Tensor:
    """Distance [N] to the nearest of `reference` [M, D], times M^(1/D) to be alike for every M."""
    size, dim = reference.shape
    parts = [squared_distances(chunk, reference).amin(dim=1) for chunk in rows.split(chunk_rows(size))]
    return size ** (1 / dim) * torch.cat(parts).sqrt()


def gaussian_wasserstein(mean: Tensor, covariance: Tensor, points: Tensor) -> Tensor:
    """W2 between N(mean, covariance) and the Gaussian with the moments of `points` [K, D].

    W2^2 = |m_z - m_c|^2 + tr(S_z + S_c - 2 (S_z^1/2 S_c S_z^1/2)^1/2), the paper's Gaussian case; Dowson and
    Landau 1982. The root of it is returned, as in the authors' loss. `mean` and `covariance` are constants.
    """
    points_mean = points.mean(dim=0)
    centered = points - points_mean
    points_covariance = centered.t() @ centered / max(points.shape[0] - 1, 1)
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
    mean k(x, c) + mean k(c, c'). k is the mean of two Gaussian kernels as in the authors' code; widths of
    one and two mean distances are our choice.
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
