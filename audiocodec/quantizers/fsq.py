"""Finite scalar quantization, rounding of few channels: https://arxiv.org/abs/2309.15505, section 3.1."""

from __future__ import annotations

import math
from itertools import combinations_with_replacement

import torch
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import LeafQuantizer, Terms
from audiocodec.quantizers.codebook import mean_square
from audiocodec.quantizers.estimators import straight_through
from audiocodec.quantizers.projection import Projection

PAPER_LEVELS = {
    1 << 8: (8, 6, 5),
    1 << 10: (8, 5, 5, 5),
    1 << 12: (7, 5, 5, 5, 5),
    1 << 14: (8, 8, 8, 6, 5),
    1 << 16: (8, 8, 8, 5, 5, 5),
}
"""Recommended in Mentzer et al. 2023, https://arxiv.org/abs/2309.15505, table 1."""


def choose_levels(codebook_size: int, levels: str = "") -> tuple[int, ...]:
    """Levels written as "8,5,5,5", or those for about `codebook_size` entries.

    Sizes the paper does not list get 5 to 8 levels (the paper advises 5 or more) and the largest product that
    is not above `codebook_size`, in as few channels as that takes.

    Raises:
        ConfigError: `levels` is no list of whole numbers from 2, or `codebook_size` is below 5.
    """
    if levels:
        try:
            chosen = tuple(int(level) for level in levels.split(","))
        except ValueError:
            chosen = ()
        if not chosen or min(chosen) < 2:
            raise ConfigError(f'levels is {levels!r}; write whole numbers from 2 like "8,5,5,5"')
        return chosen
    if codebook_size in PAPER_LEVELS:
        return PAPER_LEVELS[codebook_size]
    if codebook_size < 5:
        raise ConfigError(f"codebook_size is {codebook_size}; levels of 5 and more need at least 5")
    most = int(math.log(codebook_size, 5))
    candidates = [c for n in range(1, most + 1) for c in combinations_with_replacement((8, 7, 6, 5), n)]
    fitting = [c for c in candidates if math.prod(c) <= codebook_size]
    return max(fitting, key=lambda c: (math.prod(c), -len(c)))


def place_values(levels: tuple[int, ...]) -> Tensor:
    """What one step of each channel adds to the index: the first channel is the lowest digit."""
    return torch.tensor([math.prod(levels[:i]) for i in range(len(levels))])


class FiniteScalarQuantizer(LeafQuantizer):
    """A few channels, bounded by tanh and rounded to levels; there is no codebook and no loss.

    With h = (L - 1)(1 + 1e-3) / 2, o = 1/2 for even L and else 0, s = atanh(o / h): round(tanh(z + s) h - o),
    divided by floor(L / 2). A projection leads into those channels and back, unless the latents have as many.
    """

    passes_identity = False

    levels: Tensor
    basis: Tensor

    def __init__(self, dim: int, codebook_size: int, *, levels: str = "") -> None:
        """Latents of width `dim`; `levels` such as "8,5,5,5", or the paper's for about `codebook_size`."""
        super().__init__(dim, codebook_size)
        chosen = choose_levels(codebook_size, levels)
        self.codebook_sizes = (math.prod(chosen),)
        self.register_buffer("levels", torch.tensor(chosen), persistent=False)
        self.register_buffer("basis", place_values(chosen), persistent=False)
        self.projection = Projection(dim, len(chosen))

    def quantize(self, vectors: Tensor) -> tuple[Tensor, Tensor, Terms]:
        """Round vectors [N, D]; the rounding error is logged and costs nothing."""
        bounded = self._bound(vectors)
        rounded = bounded.detach().round()
        output = self._outward(straight_through(bounded, rounded))
        error = mean_square(bounded.detach() - rounded)
        return self._indices(rounded), output, {"rounding_error": (0.0, error)}

    def choose(self, vectors: Tensor) -> Tensor:
        """Vectors [N, D] -> indices [N]."""
        return self._indices(self._bound(vectors).round())

    def restore(self, indices: Tensor) -> Tensor:
        """Indices [N] -> output [N, D]."""
        digits = indices[:, None] // self.basis % self.levels
        return self._outward((digits - self.levels // 2).float())

    def fit(self, vectors: Tensor) -> None:
        """Start the projection from principal components of vectors [N, D], and least squares back."""
        if len(vectors) > 1:
            self.projection.fit(vectors, lambda rows: self._bound(rows).round() / (self.levels // 2))

    def _bound(self, vectors: Tensor) -> Tensor:
        half = (self.levels - 1) * (1 + 1e-3) / 2
        offset = torch.where(self.levels % 2 == 0, 0.5, 0.0)
        return torch.tanh(self.projection.into(vectors) + torch.atanh(offset / half)) * half - offset

    def _outward(self, rounded: Tensor) -> Tensor:
        return self.projection.back(rounded / (self.levels // 2))

    def _indices(self, rounded: Tensor) -> Tensor:
        return ((rounded.long() + self.levels // 2) * self.basis).sum(dim=1)
