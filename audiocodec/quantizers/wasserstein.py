"""Wasserstein VQ, the codebook takes the distribution of the features: https://arxiv.org/abs/2506.15078."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.codebook import chunk_rows
from audiocodec.quantizers.codebook_quantizer import Terms
from audiocodec.quantizers.feature_queue import FeatureQueue
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.ranks import from_first_rank, gather_rows
from audiocodec.quantizers.rate_distortion import reproduction_map
from audiocodec.quantizers.transport import gaussian_wasserstein, mean_discrepancy, sliced_wasserstein
from audiocodec.quantizers.vector import VectorQuantizer


@dataclass(frozen=True)
class Matching:
    """Which distance between features and codebook is made small.

    Attributes:
        variant: "gaussian", closed form of the first two moments; "sliced", for features of any shape; "mmd",
            a mean discrepancy in its place.
        target: "features"; "zador", their density f to the power d / (d + 2), the best for squared error
            where entries are many; or "rate", features drawn to their mean as far as Shannon's bound for
            Gaussians at log2 K bits says, where entries are few for the number of dimensions.
        wasserstein_weight: of the distance in the loss; the paper's VQ-VAE has 0.5.
        queue_size: features remembered; the paper's is 65,536.
        projections: random lines of "sliced" a step.
        covariance_scale: multiplies the features' covariance; the paper's VAR model has 0.25, and so has the
            authors' "mmd" (features half as far from their mean).
    """

    variant: Literal["gaussian", "sliced", "mmd"] = "gaussian"
    target: Literal["features", "zador", "rate"] = "features"
    wasserstein_weight: float = 0.5
    queue_size: int = 65536
    projections: int = 32
    covariance_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name, allowed in (
            ("variant", ("gaussian", "sliced", "mmd")),
            ("target", ("features", "zador", "rate")),
        ):
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

    option_groups = {"parts": Parts, "matching": Matching}  # noqa: RUF012  typed ClassVar in the base

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        commitment_weight: float = 0.1,
        codebook_weight: float = 1.0,
        matching: Matching | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__(
            dim,
            codebook_size,
            commitment_weight=commitment_weight,
            codebook_weight=codebook_weight,
            parts=parts,
        )
        self.matching = matching or Matching()
        self.queue = FeatureQueue(self.matching.queue_size, dim)
        torch.nn.init.normal_(self.codebook, std=0.01)

    @torch.no_grad()
    def before(self, vectors: Tensor) -> None:
        """Remember the features of all ranks."""
        super().before(vectors)
        rows = gather_rows(vectors)
        if rows.shape[0]:
            zador = self.matching.target == "zador"
            self.queue.push(rows, from_first_rank(self.queue.zador_weights(rows)) if zador else None)

    def codebook_terms(self, vectors: Tensor, chosen: Tensor, indices: Tensor, codebook: Tensor) -> Terms:
        """VQ-VAE's codebook loss, and in training the distance between distributions."""
        terms = super().codebook_terms(vectors, chosen, indices, codebook)
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
        """Map [D, D] of centered features to those that the codebook shall be like."""
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
