"""SimVQ, one linear layer under the whole codebook: Zhu et al. 2024, https://arxiv.org/abs/2411.02038.

Its idea, a codebook that is a learned map of frozen entries so that one step moves every entry, is a base
class here: TransVQ takes another map.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.projection import spread_like
from audiocodec.quantizers.vector import VectorQuantizer


class MappedQuantizer(VectorQuantizer):
    """The codebook is `mapped()` of the buffer `frozen` [K, D], computed whole.

    Outside training it is kept until a weight changes. A loaded codebook is used as it is, without the map;
    so `load_codebooks(codebooks())` makes a model independent of the map.
    """

    movable = False

    frozen: Tensor
    baked: Tensor

    def _make_codebook(self, dim: int, codebook_size: int) -> None:
        # A trained linear map starts from N(0, 1/D) in SimVQ's code as in TransVQ's.
        self.register_buffer("frozen", torch.randn(codebook_size, dim) * dim**-0.5)
        self.register_buffer("baked", torch.tensor(False))
        self._kept: tuple[object, Tensor] | None = None

    @abstractmethod
    def mapped(self) -> Tensor:
        """The whole codebook [K, D], with gradient to the map."""

    def entries(self) -> Tensor:
        """The codebook [K, D] in use."""
        if bool(self.baked):
            return self.frozen
        if self.training and torch.is_grad_enabled():
            return self.mapped()
        state = tuple((t.data_ptr(), t._version) for t in (*self.parameters(), self.frozen))
        if self._kept is None or self._kept[0] != state:
            with torch.inference_mode(False), torch.no_grad():
                self._kept = (state, self.mapped())
        return self._kept[1]

    @torch.no_grad()
    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Use this codebook from now on, without the map."""
        self.check_codebooks(codebooks)
        self.frozen.copy_(codebooks["codebook"])
        self.baked.fill_(True)


class SimVectorQuantizer(MappedQuantizer):
    """The codebook is C W' + b: C drawn from N(0, 1/D) and frozen, W and b learn by VQ-VAE's losses."""

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        bias: bool = True,
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries; the authors' layer has a bias."""
        super().__init__(dim, codebook_size, parts=parts)
        self.map = nn.Linear(dim, dim, bias=bias)

    def mapped(self) -> Tensor:
        """The codebook C W' + b."""
        return self.map(self.frozen)

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Give the codebook mean and covariance of vectors [N, D], so that it starts where they are."""
        if len(vectors) > 1 and not bool(self.baked):
            weight, bias = spread_like(self.frozen, vectors)
            self.map.weight.copy_(weight)
            if self.map.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
                self.map.bias.copy_(bias)
