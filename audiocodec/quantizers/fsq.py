"""Finite scalar quantization, rounding of few channels: https://arxiv.org/abs/2309.15505, section 3.1."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.codebook import (
    check_size,
    cluster_counts,
    from_rows,
    mean_square,
    perplexity_and_usage,
    to_rows,
)
from audiocodec.quantizers.estimators import straight_through
from audiocodec.quantizers.levels import choose_levels
from audiocodec.quantizers.projection import Projection
from audiocodec.quantizers.ranks import gather_rows, sum_over_ranks


class FiniteScalarQuantizer(Quantizer):
    """A few channels, bounded by tanh and rounded to levels; there is no codebook and no loss.

    With h = (L - 1)(1 + 1e-3) / 2, o = 1/2 for even L and else 0, s = atanh(o / h): round(tanh(z + s) h - o),
    divided by floor(L / 2). A projection leads in and out of those channels unless the latents have just as
    many.
    """

    passes_identity = False

    levels: Tensor
    basis: Tensor

    def __init__(self, dim: int, codebook_size: int, *, levels: str = "") -> None:
        """Latents of width `dim`; `levels` such as "8,5,5,5", or the paper's for about `codebook_size`."""
        super().__init__()
        check_size(dim, codebook_size)
        chosen = choose_levels(codebook_size, levels)
        self.dim, self.prefixes = dim, (1,)
        self.codebook_sizes = (math.prod(chosen),)
        self.register_buffer("levels", torch.tensor(chosen), persistent=False)
        basis = [math.prod(chosen[:i]) for i in range(len(chosen))]
        self.register_buffer("basis", torch.tensor(basis), persistent=False)
        self.projection = Projection(dim, len(chosen)) if dim != len(chosen) else None

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T]."""
        self.check_prefix(num_quantizers)
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            vectors = to_rows(latents)
            bounded = self._bound(vectors)
            levels = bounded.detach().round()
            rounded = straight_through(bounded, levels)
            quantized = from_rows(self._outward(rounded), latents).to(latents.dtype)
        indices = self._indices(levels)
        codes = indices.view(latents.shape[0], 1, latents.shape[2])
        counts = sum_over_ranks(cluster_counts(indices, self.codebook_sizes[0]))
        metrics = {"rounding_error": mean_square(bounded.detach() - levels)} | perplexity_and_usage(counts)
        return QuantizerOutput(quantized, codes, quantized.new_zeros(()).float(), metrics)

    @torch.no_grad()
    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, 1, T]."""
        self.check_prefix(num_quantizers)
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            indices = self._indices(self._bound(to_rows(latents)).round())
        return indices.view(latents.shape[0], 1, latents.shape[2])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, 1, T] -> quantized [B, D, T]."""
        self.check_codes(codes)
        digits = codes[:, 0].reshape(-1, 1) // self.basis % self.levels
        with torch.autocast(codes.device.type, enabled=False):
            return from_rows(self._outward((digits - self.levels // 2).float()), codes)

    @torch.no_grad()
    def initialize(self, latents: Tensor) -> None:
        """Start the projection from principal components of latents [B, D, T], and least squares back."""
        self.check_latents(latents)
        vectors = gather_rows(to_rows(latents))
        if self.projection is not None and vectors.shape[0] > 1:
            self.projection.fit_into(vectors)
            self.projection.fit_back(self._bound(vectors).round() / (self.levels // 2), vectors)

    def _bound(self, vectors: Tensor) -> Tensor:
        inner = vectors if self.projection is None else self.projection.into(vectors)
        half = (self.levels - 1) * (1 + 1e-3) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        return torch.tanh(inner + torch.atanh(offset / half)) * half - offset

    def _outward(self, rounded: Tensor) -> Tensor:
        normed = rounded / (self.levels // 2)
        return normed if self.projection is None else self.projection.back(normed)

    def _indices(self, levels: Tensor) -> Tensor:
        return ((levels.long() + self.levels // 2) * self.basis).sum(dim=1)
