"""Causal convolutions with one code path for whole signals and for streams.

A frame has s samples of its own, s being the stride, and spans (k - 1) * d + 1 with kernel k and dilation d:

    CausalConv1d           |--- context, kept ---|-- s new --|       -> 1 frame
    CausalConvTranspose1d  1 frame -> |-- s ready --|--- overlap, kept and added to the next ---|
"""

from __future__ import annotations

from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from audiocodec.errors import ConfigError, InputError
from audiocodec.nn.streaming import StreamState, recall

Norm = Literal["weight", "none"]
M = TypeVar("M", bound=nn.Module)


class CausalConv1d(nn.Conv1d):
    """Convolution that sees only the past, so a stream and a whole signal give the same output.

    The past before the first sample is zero. Input lengths are multiples of the stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups)
        self.context = _beyond_stride(kernel_size, stride, dilation)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """[B, C, T * stride] -> [B, C', T]; `state=None` is offline (zero past, forgotten after).

        Raises:
            InputError: the length is no multiple of the stride, or `state` is of another stream.
        """
        length, stride = x.shape[-1], self.stride[0]
        if length % stride or not length:
            raise InputError(
                f"{length} samples are no positive multiple of the stride {stride}; pad or buffer them"
            )
        if self.context:
            x = torch.cat([recall(state, self, x, self.in_channels, self.context), x], dim=-1)
            if state is not None:
                state[self] = x[..., length:]
        return F.conv1d(x, self.weight, self.bias, stride, 0, self.dilation, self.groups)


class CausalConvTranspose1d(nn.ConvTranspose1d):
    """Upsampling convolution whose frame never changes samples before its own; delay 0.

    A frame reaches beyond its own `stride` samples. The part that reaches into the future is cut off at the
    end of a whole signal, and added to the next chunk in a stream.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride)
        self.overlap = _beyond_stride(kernel_size, stride)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """[B, C, T] -> [B, C', T * stride]; `state=None` is offline.

        Raises:
            InputError: `state` is of another stream.
        """
        ready = x.shape[-1] * self.stride[0]
        # The bias waits until the overlap is complete, or overlapping samples would get it twice.
        y = F.conv_transpose1d(x, self.weight, None, self.stride)
        if state is not None and self.overlap:
            y = y + F.pad(recall(state, self, y, self.out_channels, self.overlap), (0, ready))
            state[self] = y[..., ready:]
        y = y[..., :ready]
        assert self.bias is not None, "as built"
        return y + self.bias[:, None]


def normalize(module: M, norm: Norm) -> M:
    """Split the weight into direction and length (`norm="weight"`), which steadies training, or leave it.

    Salimans and Kingma 2016, https://arxiv.org/abs/1602.07868.
    """
    if norm == "weight":
        parametrizations.weight_norm(module)
    return module


def _beyond_stride(kernel_size: int, stride: int, dilation: int = 1) -> int:
    """Samples that a frame spans beyond its own stride."""
    beyond = (kernel_size - 1) * dilation + 1 - stride
    if beyond < 0:
        raise ConfigError(
            f"kernel_size {kernel_size} with dilation {dilation} leaves gaps at stride {stride}; "
            f"choose a kernel_size of {-(-(stride - 1) // dilation) + 1} or more"
        )
    return beyond
