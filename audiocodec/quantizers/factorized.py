"""Lookup by direction in few dimensions: DAC, https://arxiv.org/abs/2306.06546.

After "VQGAN-FC", Yu et al. 2021, https://arxiv.org/abs/2110.04627.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.quantizers.codebook import nearest
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.projection import Projection
from audiocodec.quantizers.vector import VectorQuantizer


class FactorizedVectorQuantizer(VectorQuantizer):
    """Projects to `codebook_dim` channels and takes the entry of the most similar direction.

    As in DAC, only the choice is by direction: losses and output use entries of their own length. With
    `unit_length` entries and vectors have length 1 throughout (ViT-VQGAN).
    """

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        codebook_dim: int = 8,
        unit_length: bool = False,
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries of width `codebook_dim`, at most `dim`."""
        self.codebook_dim = min(codebook_dim, dim)
        self.unit_length = unit_length
        super().__init__(dim, codebook_size, parts=parts)
        self.projection = Projection(dim, self.codebook_dim, weight_norm=True)
        self.passes_identity = False

    def _make_codebook(self, dim: int, codebook_size: int) -> None:
        self.codebook = nn.Parameter(torch.randn(codebook_size, self.codebook_dim))

    def entries(self) -> Tensor:
        """The codebook [K, codebook_dim]."""
        return F.normalize(self.codebook, dim=1) if self.unit_length else self.codebook

    def inward(self, vectors: Tensor) -> Tensor:
        """Vectors [N, D] -> [N, codebook_dim]."""
        inner = self.projection.into(vectors)
        return F.normalize(inner, dim=1) if self.unit_length else inner

    def outward(self, vectors: Tensor) -> Tensor:
        """Vectors [N, codebook_dim] -> [N, D]."""
        return self.projection.back(vectors)

    def compared(self, vectors: Tensor) -> Tensor:
        """Directions, by which entries are chosen."""
        return F.normalize(vectors, dim=1)

    def fit(self, vectors: Tensor) -> None:
        """Start from principal components of vectors [N, D], k-means there, least squares back."""
        self.projection.fit(vectors, self._fit_codebook)

    def _fit_codebook(self, vectors: Tensor) -> Tensor:
        super().fit(vectors)
        codebook = self.entries()
        return codebook[nearest(self.compared(self.inward(vectors)), self.compared(codebook))]
