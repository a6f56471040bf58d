"""TransVQ, a small transformer under the codebook: https://arxiv.org/abs/2602.18896, section 3.4."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.projection import spread_like
from audiocodec.quantizers.simvq import MappedQuantizer


class LinearAttention(nn.Module):
    """Attention of one head over the K entries in time and memory linear in K.

    Katharopoulos et al. 2020, https://arxiv.org/abs/2006.16236, with phi = elu + 1:
    phi(Q) (phi(K)' V) / (phi(Q) sum phi(K) + 1e-6).
    """

    def __init__(self, width: int) -> None:
        """Entries of `width` channels."""
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, entries: Tensor) -> Tensor:
        """Entries [K, width] -> [K, width]."""
        query, key = _positive(self.query(entries)), _positive(self.key(entries))
        # phi(K)' V = (phi(K)' C) Wv', and the last layer is linear too: applying both layers to the width x
        # width product in the middle saves two products with all entries.
        middle = F.linear(self.value(key.t() @ entries), self.out.weight)
        return (query @ middle) / (query @ key.sum(dim=0)[:, None] + 1e-6)


def _positive(x: Tensor) -> Tensor:
    """elu(x) + 1, in a sixth of the time that `elu` takes on a CPU."""
    return torch.exp(-F.relu(-x)) + F.relu(x)


class TransVectorQuantizer(MappedQuantizer):
    """The codebook is T(C): C frozen, T one pre-norm transformer block with a position for each entry.

    `map="mlp"` leaves the attention out: faster, and "slightly" worse in the paper (section 6). All entries
    pass T together, as attention makes each depend on all others. T runs in bfloat16 while it learns, as it
    takes most of a step, and in float32 otherwise.
    """

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        map: Literal["attention", "mlp"] = "attention",
        width: int = 256,
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries, `width` channels inside the map."""
        super().__init__(dim, codebook_size, parts=parts)
        if map not in ("attention", "mlp"):
            raise ConfigError(f"map is {map!r}; choose attention or mlp")
        self.into = nn.Linear(dim, width, bias=False)
        self.position = nn.Parameter(0.02 * torch.randn(codebook_size, width))
        attention = nn.Sequential(nn.LayerNorm(width), LinearAttention(width))
        self.attention = attention if map == "attention" else None
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.LayerNorm(width)
        self.back = nn.Linear(width, dim, bias=False)

    def mapped(self) -> Tensor:
        """The codebook T(C)."""
        learning = self.training and torch.is_grad_enabled() and self.frozen.dtype == torch.float32
        with torch.autocast(self.frozen.device.type, torch.bfloat16, enabled=learning):
            return self.back(self.norm(self._hidden())).to(self.frozen.dtype)

    def _hidden(self) -> Tensor:
        entries = self.into(self.frozen) + self.position
        if self.attention is not None:
            entries = entries + self.attention(entries)
        return entries + self.feed_forward(entries)

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Give the codebook mean and covariance of vectors [N, D] by the last layer and norm."""
        if len(vectors) < 2 or bool(self.baked):
            return
        self.norm.reset_parameters()
        weight, bias = spread_like(self.norm(self._hidden()), vectors)
        self.back.weight.copy_(weight)
        self.norm.bias.copy_(torch.linalg.pinv(weight) @ bias)  # the last layer has no bias of its own
