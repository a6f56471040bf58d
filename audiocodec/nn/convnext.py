"""ConvNeXt blocks at the frame rate: nearly all work is matrix products, which suits ordinary CPUs.

Liu et al. 2022, https://arxiv.org/abs/2201.03545; for audio as in Vocos, https://arxiv.org/abs/2306.00814.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.nn.conv import CausalConv1d

if TYPE_CHECKING:
    from audiocodec.nn.streaming import StreamState

INITIAL_GATE = 0.05
"""A block starts close to the identity, so a net can start from a linear codec."""


class ConvNeXtBlock(nn.Module):
    """Depthwise causal convolution, then a gated two-layer network on each frame; [B, C, T] -> [B, C, T]."""

    def __init__(
        self, channels: int, kernel_size: int = 7, expansion: float = 3.0, dilation: int = 1
    ) -> None:
        """`expansion` is the hidden width of the per-frame network in units of `channels`."""
        super().__init__()
        hidden = int(channels * expansion)
        self.depthwise = CausalConv1d(channels, channels, kernel_size, groups=channels, dilation=dilation)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, hidden)
        self.project = nn.Linear(hidden, channels)
        self.gate = nn.Parameter(torch.full((channels,), INITIAL_GATE))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """[B, C, T] -> [B, C, T]."""
        y = self.norm(self.depthwise(x, state).transpose(1, 2))
        y = self.project(F.gelu(self.expand(y), approximate="tanh"))
        return x + (self.gate * y).transpose(1, 2)
