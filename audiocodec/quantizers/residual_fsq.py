"""Residual finite scalar quantization: each stage rounds what is left, on a grid (L - 1) times finer.

The stack of vector-quantize-pytorch (ResidualFSQ) with the rounding of https://arxiv.org/abs/2411.19842,
section 3.2.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.codebook import (
    check_size,
    cluster_counts,
    from_rows,
    perplexity_and_usage,
    to_rows,
)
from audiocodec.quantizers.estimators import straight_through
from audiocodec.quantizers.fsq import choose_levels, place_values
from audiocodec.quantizers.projection import Projection
from audiocodec.ranks import gather_rows, sum_over_ranks


class ResidualFiniteScalarQuantizer(Quantizer):
    """A whole stack of scalar quantizers behind one projection; any number of stages is a legal prefix.

    Channels are bounded once to +-c, c = 1 + 1/(L - 1). Stage i rounds clamp(r (L - 1)^i, -1, 1) to the L
    levels from -1 to 1, which leaves at most 1/(L - 1) of a stage's range for the next. No codebook, no loss.
    """

    builds_stack = True

    passes_identity = False

    levels: Tensor
    basis: Tensor

    def __init__(self, dim: int, codebook_size: int, *, num_quantizers: int = 8, levels: str = "") -> None:
        """Latents of width `dim`, `num_quantizers` stages; levels as for `FiniteScalarQuantizer`."""
        super().__init__()
        check_size(dim, codebook_size)
        if num_quantizers < 1:
            raise ConfigError(f"num_quantizers is {num_quantizers}; allowed are whole numbers from 1")
        chosen = choose_levels(codebook_size, levels)
        self.dim = dim
        self.codebook_sizes = (math.prod(chosen),) * num_quantizers
        self.prefixes = tuple(range(1, num_quantizers + 1))
        self.register_buffer("levels", torch.tensor(chosen), persistent=False)
        self.register_buffer("basis", place_values(chosen), persistent=False)
        self.projection = Projection(dim, len(chosen))

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T] with the first `num_quantizers` stages, a number or one an example."""
        self.check_latents(latents)
        most, used = self.largest_num_quantizers(num_quantizers, latents.device), None
        if isinstance(num_quantizers, Tensor):
            numbers = num_quantizers.to(latents.device).repeat_interleave(latents.shape[2])
            used = numbers[:, None] > torch.arange(most, device=latents.device)  # [N, stages]
        with torch.autocast(latents.device.type, enabled=False):
            inner = self._bound(to_rows(latents))
            grids = self._grids(inner.detach(), most)
            if used is not None:
                grids = [grid * used[:, stage : stage + 1] for stage, grid in enumerate(grids)]
            quantized = from_rows(self._outward(straight_through(inner, self._sum(grids))), latents)
        indices = self._indices(grids)
        if used is not None:
            indices = indices * used
        metrics: dict[str, Tensor] = {}
        for stage in range(most):
            column = indices[:, stage] if used is None else indices[used[:, stage], stage]
            counts = sum_over_ranks(cluster_counts(column, self.codebook_sizes[0]))
            metrics |= {f"{name}/{stage}": value for name, value in perplexity_and_usage(counts).items()}
        codes = from_rows(indices, latents)
        return QuantizerOutput(quantized.to(latents.dtype), codes, quantized.new_zeros(()), metrics)

    @torch.no_grad()
    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T]."""
        num_quantizers = self.check_num_quantizers(num_quantizers)
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            grids = self._grids(self._bound(to_rows(latents)), num_quantizers)
        return from_rows(self._indices(grids), latents)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T]."""
        num_quantizers = self.check_codes(codes)
        with torch.autocast(codes.device.type, enabled=False):
            numbers = codes.transpose(1, 2).reshape(-1, num_quantizers, 1) // self.basis % self.levels
            grids = [self._grid(digits, stage) for stage, digits in enumerate(numbers.double().unbind(1))]
            return from_rows(self._outward(self._sum(grids)), codes)

    @torch.no_grad()
    def initialize(self, latents: Tensor) -> None:
        """Start the projection from principal components of latents [B, D, T], and least squares back."""
        self.check_latents(latents)
        vectors = gather_rows(to_rows(latents))
        if len(vectors) > 1:
            most = self.prefixes[-1]
            self.projection.fit(vectors, lambda rows: self._sum(self._grids(self._bound(rows), most)))

    def _bound(self, vectors: Tensor) -> Tensor:
        # In double precision: the grid of a late stage is finer than the rounding of single precision.
        inner, into = vectors.double(), self.projection.into
        if isinstance(into, nn.Linear):
            inner = F.linear(inner, into.weight.double(), into.bias.double())
        limit = 1 + 1 / (self.levels - 1).double()
        return torch.tanh(inner / limit) * limit

    def _grids(self, inner: Tensor, num_quantizers: int) -> list[Tensor]:
        """What each stage adds, [N, d] each."""
        residual, grids = inner, list[Tensor]()
        for stage in range(num_quantizers):
            grids.append(self._grid(self._digits(residual, stage), stage))
            residual = residual - grids[-1]
        return grids

    def _grid(self, digits: Tensor, stage: int) -> Tensor:
        return (2 * digits / (self.levels - 1) - 1) * self._scale(stage)

    def _digits(self, residual: Tensor, stage: int) -> Tensor:
        within = (residual / self._scale(stage)).clamp(-1, 1)
        return ((self.levels - 1) * (within + 1) / 2 + 0.5).floor()

    def _scale(self, stage: int) -> Tensor:
        return (self.levels - 1).double() ** -stage

    def _indices(self, grids: list[Tensor]) -> Tensor:
        """Indices [N, stages] of the grids' points."""
        digits = [self._digits(grid, stage).long() for stage, grid in enumerate(grids)]
        return torch.stack([(number * self.basis).sum(dim=1) for number in digits], dim=1)

    def _sum(self, grids: list[Tensor]) -> Tensor:
        total = torch.zeros_like(grids[0])
        for grid in grids:
            total = total + grid
        return total

    def _outward(self, inner: Tensor) -> Tensor:
        return self.projection.back(inner.float())
