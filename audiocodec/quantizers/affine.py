"""Codebook with a shared, learned scale and shift: Huh et al. 2023, https://arxiv.org/abs/2305.08842."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.vector import VectorQuantizer
from audiocodec.ranks import sum_over_ranks


class AffineVectorQuantizer(VectorQuantizer):
    """Entries are scale * c_k + shift with one scale and shift [D] for all: unused entries move along.

    `affine_rate` multiplies how fast both learn. With `statistics` running means and variances of latents,
    and those of the raw entries, set scale and shift first, and what is learned adds to them. The paper's
    synchronized update is `Parts(estimator="modified", code_share=...)`. Loading a codebook takes scale and
    shift out of use.
    """

    scale: nn.Parameter
    shift: nn.Parameter
    moments: Tensor
    seen: Tensor
    baked: Tensor

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        affine_rate: float = 1.0,
        statistics: bool = False,
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__(dim, codebook_size, parts=parts)
        self.affine_rate, self.statistics = affine_rate, statistics
        self.scale, self.shift = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))
        self.register_buffer("baked", torch.tensor(False))
        if statistics:
            self.register_buffer("moments", torch.zeros(2, dim))  # mean and variance of latents
            self.register_buffer("seen", torch.tensor(False))

    def entries(self) -> Tensor:
        """The codebook [K, D] in use."""
        if bool(self.baked):
            return self.codebook
        scale, shift = self._affine()
        return scale * self.codebook + shift

    def _affine(self) -> tuple[Tensor, Tensor]:
        scale, shift = 1 + self.affine_rate * self.scale, self.affine_rate * self.shift
        if self.statistics and bool(self.seen):
            raw = self.codebook.detach()
            mean, variance = self.moments
            scale = scale * (variance / (raw.var(dim=0, correction=0) + 1e-8)).sqrt()
            shift = shift + mean - scale * raw.mean(dim=0)
        return scale, shift

    @torch.no_grad()
    def before_step(self, vectors: Tensor) -> None:
        """Average the statistics, then move unused entries."""
        if self.statistics:
            sums = torch.stack([torch.ones_like(vectors).sum(0), vectors.sum(0), vectors.square().sum(0)])
            count, total, square = sum_over_ranks(sums)
            if bool(count.any()):
                mean = total / count
                now = torch.stack([mean, (square / count - mean**2).clamp(min=0)])
                self.moments.lerp_(now, 0.1 if bool(self.seen) else 1.0)
                self.seen.fill_(True)
        super().before_step(vectors)

    @torch.no_grad()
    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Use this codebook from now on as it is, without scale and shift."""
        self.check_codebooks(codebooks)
        self.codebook.copy_(codebooks["codebook"])
        self.baked.fill_(True)

    def fit(self, vectors: Tensor) -> None:
        """Start the raw entries from k-means on vectors [N, D], scale and shift from the identity."""
        super().fit(vectors)
        self.baked.fill_(False)
        self.scale.zero_()
        self.shift.zero_()
        if self.statistics:
            self.seen.fill_(False)

    @torch.no_grad()
    def place(self, indices: Tensor, entries: Tensor) -> None:
        """Put the entries [M, D] at `indices` [M]."""
        if not bool(self.baked):
            scale, shift = self._affine()
            away_from_zero = torch.where(scale >= 0, scale.clamp(min=1e-6), scale.clamp(max=-1e-6))
            entries = (entries - shift) / away_from_zero
        self.codebook[indices] = entries
