"""Codebooks that are a learned map of frozen entries, so that one step moves every entry."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiocodec.quantizers.vector import VectorQuantizer

if TYPE_CHECKING:
    from collections.abc import Mapping


class MappedQuantizer(VectorQuantizer):
    """The codebook is `mapped()` of the buffer `frozen` [K, D], computed whole.

    Outside training it is kept until a weight changes. Loading a codebook bakes it: it is then used as it is
    and the map no longer counts, so `load_codebooks(codebooks())` makes a model independent of the map.
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
