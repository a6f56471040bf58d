"""SimVQ, one linear layer under the whole codebook: Zhu et al. 2024, https://arxiv.org/abs/2411.02038."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiocodec.quantizers.codebook import to_rows
from audiocodec.quantizers.mapped import MappedQuantizer
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.projection import spread_like
from audiocodec.quantizers.ranks import gather_rows


class SimVectorQuantizer(MappedQuantizer):
    """The codebook is C W' + b: C drawn from N(0, 1/D) and frozen, W and b learn by VQ-VAE's losses."""

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        bias: bool = True,
        commitment_weight: float = 0.25,
        codebook_weight: float = 1.0,
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries; the authors' layer has a bias."""
        super().__init__(
            dim,
            codebook_size,
            commitment_weight=commitment_weight,
            codebook_weight=codebook_weight,
            parts=parts,
        )
        self.map = nn.Linear(dim, dim, bias=bias)

    def mapped(self) -> Tensor:
        """The codebook C W' + b."""
        return self.map(self.frozen)

    @torch.no_grad()
    def initialize(self, latents: Tensor) -> None:
        """Give the codebook mean and covariance of latents [B, D, T], so that it starts where they are."""
        self.check_latents(latents)
        vectors = gather_rows(to_rows(latents))
        if vectors.shape[0] > 1 and not bool(self.baked):
            weight, bias = spread_like(self.frozen, vectors)
            self.map.weight.copy_(weight)
            if self.map.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
                self.map.bias.copy_(bias)
