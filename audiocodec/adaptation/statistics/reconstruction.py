"""What codes stand for after each stage, whatever the quantizer is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from audiocodec.quantizers.latent_map import LatentMap
from audiocodec.quantizers.residual import ResidualQuantizer

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.quantizers import Quantizer


def steps(quantizer: Quantizer, num_quantizers: int) -> tuple[tuple[int, int], ...]:
    """First row of codes and row after the last, of each stage up to `num_quantizers`."""
    ends = [rows for rows in quantizer.prefixes if rows <= num_quantizers]
    return tuple(zip([0, *ends], ends, strict=False))


class Reconstruction:
    """Codes [n, N] -> reconstructions [S, n, D] after each stage, with the codebooks as they are now."""

    def __init__(self, quantizer: Quantizer, num_quantizers: int) -> None:
        """Of the stages up to `num_quantizers` rows."""
        self._quantizer = quantizer
        self._ends = [last for _, last in steps(quantizer, num_quantizers)]
        self._entries = _stacked_entries(quantizer, num_quantizers)

    def __call__(self, codes: Tensor) -> Tensor:
        """[S, n, D]; of a plain residual stack in one lookup."""
        if self._entries is not None:
            entries, offsets = self._entries
            return F.embedding((codes + offsets).t(), entries).cumsum(dim=0)
        columns = codes.t()[None]  # [1, N, n]
        parts = [self._quantizer.decode(columns[:, :rows])[0].t() for rows in self._ends]
        return torch.stack(parts)


def _stacked_entries(quantizer: Quantizer, num_quantizers: int) -> tuple[Tensor, Tensor] | None:
    """All entries [sum of K, D] and where each stage's begin [N]; None unless decoding is adding entries."""
    if isinstance(quantizer, LatentMap) or not isinstance(quantizer, ResidualQuantizer):
        return None
    found: list[Tensor] = []
    for first, _, stage in quantizer.spans():
        if first >= num_quantizers:
            break
        entries = stage.search_entries()
        if entries is None:
            return None
        found.append(entries.detach().clone())
    sizes = torch.tensor([0, *(len(entries) for entries in found)])
    return torch.cat(found), sizes.cumsum(dim=0)[:-1].to(found[0].device)
