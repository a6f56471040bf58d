"""Attention to a window of the past, with the same result for whole signals and for streams of any length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.nn.streaming import recall

if TYPE_CHECKING:
    from audiocodec.nn.streaming import StreamState


class WindowedAttention(nn.Module):
    """Multi-head attention in which a frame sees itself and the `window - 1` frames before it.

    Work grows with T * window, not T * T: queries are cut into blocks, each attending to its own stretch of
    keys (Longformer, https://arxiv.org/abs/2004.05150). Keys are kept unrotated and positions are counted
    from the start of a block, so the rotary angles never grow with the stream.
    """

    def __init__(self, channels: int, num_heads: int, window: int) -> None:
        super().__init__()
        if channels % (2 * num_heads) or window < 1:
            raise ConfigError(
                f"channels {channels} must be a multiple of 2 * num_heads = {2 * num_heads}, "
                f"and window {window} must be 1 or more"
            )
        self.num_heads, self.window = num_heads, window
        self.project_in = nn.Linear(channels, 3 * channels, bias=False)
        self.project_out = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """[B, C, T] -> [B, C, T].

        Raises:
            InputError: `state` is of another stream.
        """
        channels, length = x.shape[1:]
        queries, memory = self.project_in(x.transpose(1, 2)).split([channels, 2 * channels], dim=-1)
        # A last column of ones marks real frames: the zeros before a stream are seen by nobody.
        memory = F.pad(memory, (0, 1), value=1.0)
        memory = torch.cat([recall(state, self, memory, self.window - 1, 2 * channels + 1), memory], dim=1)
        if state is not None:
            state[self] = memory[:, length:]
        y = self._attend(queries, memory)  # [B, blocks, heads, block, C / heads]
        y = y.transpose(2, 3).reshape(x.shape[0], -1, channels)
        return self.project_out(y[:, :length]).transpose(1, 2)

    def _attend(self, queries: Tensor, memory: Tensor) -> Tensor:
        """Queries [B, T, C] to memory [B, window - 1 + T, 2C + 1] -> [B, blocks, heads, block, C / heads]."""
        channels, length = queries.shape[2], queries.shape[1]
        block = min(length, self.window)
        span = block + self.window - 1
        filler = (0, 0, 0, -length % block)  # the last block is filled up; what it adds is cut off again
        query = F.pad(queries, filler).unflatten(1, (-1, block))  # [B, blocks, block, C]
        stretch = F.pad(memory, filler).unfold(1, span, block).transpose(2, 3)  # [B, blocks, span, 2C + 1]
        key, value, real = stretch.split([channels, channels, 1], dim=-1)
        query, key, value = (
            t.unflatten(-1, (self.num_heads, -1)).transpose(2, 3) for t in (query, key, value)
        )
        offset = torch.arange(span, device=key.device) - torch.arange(block, device=key.device)[:, None]
        visible = (offset >= 0) & (offset < self.window) & (real[:, :, None, None, :, 0] > 0)
        query, key = rotate(query, start=self.window - 1), rotate(key, start=0)
        return F.scaled_dot_product_attention(query, key, value, visible)


def rotate(x: Tensor, start: int, base: float = 10000.0) -> Tensor:
    """Turn pairs of features [..., T, D] by angles that grow with the position, counted from `start`.

    The product of two turned vectors depends on their distance alone. RoFormer, https://arxiv.org/abs/2104.09864,
    equation 34, with the halves of D as pairs.
    """
    length, half = x.shape[-2], x.shape[-1] // 2
    # Angles in double precision: rounded in the precision of `x` they would differ between chunkings.
    rates = base ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.outer(torch.arange(start, start + length, dtype=torch.float64), rates)
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
