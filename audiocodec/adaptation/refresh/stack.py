"""The codebooks of a quantizer as a plain stack that can be fitted: nearest entries, summed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.errors import InputError
from audiocodec.quantizers.latent_map import SCALE, SHIFT, LatentMap
from audiocodec.quantizers.residual import ResidualQuantizer, beam_search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiocodec.quantizers import Quantizer

LADDER_STEPS = 4
"""Depths of the stack at which an error is counted when entries are fitted, spread over the ladder."""


@dataclass(frozen=True, eq=False)
class Stack:
    """A copy of what adaptation may change.

    Attributes:
        entries: codebook [K, D] of each stage.
        names: what the quantizer calls each.
        width: paths that the encoder's search keeps.
        scale: [D] of the map around the stack; ones without a map.
        shift: [D] likewise; zeros.
    """

    entries: tuple[Tensor, ...]
    names: tuple[str, ...]
    width: int
    scale: Tensor
    shift: Tensor

    @staticmethod
    def of(quantizer: Quantizer) -> Stack:
        """Copy the codebooks out of `quantizer`, which is not touched then or later.

        Raises:
            InputError: its codes are not those of nearest entries summed over stages.
        """
        inner = quantizer.inner if isinstance(quantizer, LatentMap) else quantizer
        codebooks = (
            [stage.search_entries() for _, _, stage in inner.spans()]
            if isinstance(inner, ResidualQuantizer)
            else []
        )
        names = tuple(f"{number}.codebook" for number in range(len(codebooks)))
        entries = tuple(entry.detach().clone() for entry in codebooks if entry is not None)
        if not codebooks or len(entries) < len(codebooks) or set(names) != set(inner.codebooks()):
            raise InputError(
                "the codebooks of this model cannot be refreshed: its quantizer is no residual stack that"
                " sums nearest entries; take a model of method ema, vector, online, wasserstein or the like"
            )
        assert isinstance(inner, ResidualQuantizer)
        like = entries[0]
        scale, shift = like.new_ones(inner.dim), like.new_zeros(inner.dim)
        if isinstance(quantizer, LatentMap):
            scale, shift = quantizer.scale.clone(), quantizer.shift.clone()
        return Stack(entries, names, inner.search_width, scale, shift)

    @property
    def mapped(self) -> bool:
        """Whether there is a map around the stack."""
        return bool((self.scale != 1).any()) or bool((self.shift != 0).any())

    @property
    def error_prefixes(self) -> tuple[int, ...]:
        """Numbers of stages at which errors count: a few, evenly over the ladder, with the whole stack."""
        total = len(self.entries)
        return tuple(sorted({-(-total * step // LADDER_STEPS) for step in range(1, LADDER_STEPS + 1)}))

    def inward(self, vectors: Tensor) -> Tensor:
        """Latents [N, D] as the stack sees them."""
        return (vectors - self.shift) / self.scale if self.mapped else vectors

    def outward(self, vectors: Tensor) -> Tensor:
        """Sums of entries [N, D] as the decoder sees them."""
        return vectors * self.scale + self.shift if self.mapped else vectors

    def search(self, vectors: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Codes [N, num_quantizers] that the encoder chooses for latents [N, D]."""
        return beam_search(self.inward(vectors), list(self.entries[:num_quantizers]), self.width)

    def sums(self, codes: Tensor) -> Tensor:
        """What codes [N, num_quantizers] are decoded to [N, D], with gradient to entries, scale and shift."""
        return self.outward(sum_entries(self.entries, codes))

    def error(self, vectors: Tensor, num_quantizers: int | None = None) -> float:
        """Mean squared error of latents [N, D], over their variance; both summed over dimensions."""
        left = vectors - self.sums(self.search(vectors, num_quantizers))
        return float(left.square().sum() / (vectors - vectors.mean(dim=0)).square().sum().clamp(min=1e-12))

    def with_entries(self, entries: Sequence[Tensor]) -> Stack:
        """The same stack of other codebooks."""
        return replace(self, entries=tuple(entries))

    def codebooks(self) -> dict[str, Tensor]:
        """By name, without the map."""
        return dict(zip(self.names, self.entries, strict=True))

    def extras(self) -> dict[str, Tensor]:
        """The map, by name; {} where there is none."""
        return {SCALE: self.scale, SHIFT: self.shift} if self.mapped else {}


def sum_entries(entries: Sequence[Tensor], codes: Tensor) -> Tensor:
    """Sum over stages of the entries that codes [N, num_quantizers] name, [N, D]."""
    parts = [F.embedding(codes[:, stage], entries[stage]) for stage in range(codes.shape[1])]
    return torch.stack(parts).sum(dim=0)
