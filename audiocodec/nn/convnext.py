"""ConvNeXt blocks at the frame rate: nearly all work is matrix products, which suits ordinary CPUs.

Liu et al. 2022, https://arxiv.org/abs/2201.03545; for audio as in Vocos, https://arxiv.org/abs/2306.00814.

In training on a CPU their gradients are worked out by hand. Autograd takes ten times as long backward as
forward through a depthwise convolution, computes the tanh of every hidden number twice, and moves
activations and gradients between layouts; here frames stay in rows. Values and gradients equal those of the
plain form, except for the rounding of 16-bit numbers.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from audiocodec.nn.conv import CausalConv1d
from audiocodec.nn.streaming import StreamState

INITIAL_GATE = 0.05
"""A block starts close to the identity, so a net can start from a linear codec."""
CHUNK_ELEMENTS = 1 << 17
"""Numbers that `gelu_and_slope` works on at a time, so that they stay in the cache of a core."""
LINEAR = 2 * math.sqrt(2 / math.pi)
CUBIC = 0.044715 * LINEAR
"""GELU approximated by x sigmoid(LINEAR x + CUBIC x^3): https://arxiv.org/abs/1606.08415, section 2."""


class ConvNeXtBlock(nn.Module):
    """Depthwise causal convolution, then a gated two-layer network on each frame; [B, C, T] -> [B, C, T]."""

    def __init__(self, channels: int, kernel_size: int, expansion: float) -> None:
        """`expansion` is the hidden width of the per-frame network in units of `channels`."""
        super().__init__()
        hidden = int(channels * expansion)
        self.depthwise = CausalConv1d(channels, channels, kernel_size, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.expand = nn.Linear(channels, hidden)
        self.project = nn.Linear(hidden, channels)
        self.gate = nn.Parameter(torch.full((channels,), INITIAL_GATE))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """[B, C, T] -> [B, C, T]."""
        if state is None and self._learns_on_cpu(x):
            return train_block(x, self._weights(), self.norm.eps)
        y = self.norm(self.depthwise(x, state).transpose(1, 2))
        y = self.project(F.gelu(self.expand(y), approximate="tanh"))
        return x + (self.gate * y).transpose(1, 2)

    def _learns_on_cpu(self, x: Tensor) -> bool:
        """Whether gradients may be needed, on a device where working them out by hand is quicker."""
        if not torch.is_grad_enabled() or x.device.type != "cpu" or torch.compiler.is_compiling():
            return False
        return x.requires_grad or any(parameter.requires_grad for parameter in self.parameters())

    def _weights(self) -> BlockWeights:
        convolution, norm, expand, project = self.depthwise, self.norm, self.expand, self.project
        assert convolution.bias is not None, "as built"
        return BlockWeights(
            convolution.weight, convolution.bias, norm.weight, norm.bias,
            expand.weight, expand.bias, project.weight, project.bias, self.gate,
        )  # fmt: skip


class BlockWeights(NamedTuple):
    """Parameters of a block with C channels, K taps and H hidden units.

    Attributes:
        kernel: [C, 1, K], of the depthwise convolution.
        kernel_bias: [C].
        scale: [C], of the normalization.
        shift: [C], of the normalization.
        expand: [H, C].
        expand_bias: [H].
        project: [C, H].
        project_bias: [C].
        gate: [C].
    """

    kernel: Tensor
    kernel_bias: Tensor
    scale: Tensor
    shift: Tensor
    expand: Tensor
    expand_bias: Tensor
    project: Tensor
    project_bias: Tensor
    gate: Tensor


def train_block(x: Tensor, weights: BlockWeights, eps: float) -> Tensor:
    """[B, C, T] -> [B, C, T], frames before the first one being zero; `eps` is that of the normalization."""
    kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return _Block.apply(x.transpose(1, 2), eps, kind, *weights).transpose(1, 2)


def gelu_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    """GELU of x [N, H], approximated as in the block, and its derivative [N, H]."""
    value, slope = torch.empty_like(x), torch.empty_like(x)
    kind = torch.promote_types(x.dtype, torch.float32)
    linear = torch.tensor(LINEAR, dtype=kind)
    rows = max(1, CHUNK_ELEMENTS // max(1, x.shape[1]))
    for part, value_part, slope_part in zip(x.split(rows), value.split(rows), slope.split(rows), strict=True):
        wide = part.to(kind, copy=True)
        factor = torch.addcmul(linear, wide, wide, value=CUBIC)
        share = torch.mul(wide, factor).sigmoid_()
        value_part.copy_(wide.mul_(share))
        # With s = share: d(x s)/dx = s + x s (1 - s) (LINEAR + 3 CUBIC x^2).
        wide.addcmul_(wide, share, value=-1)
        slope_part.copy_(share.addcmul_(wide, factor.mul_(3).sub_(2 * LINEAR)))
    return value, slope


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float, kind: torch.dtype, *parameters: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C]; `kind` is the number type of the products."""
        weights = BlockWeights(*parameters)
        with torch.autocast("cpu", enabled=False):
            kernel, expand, project = (w.to(kind) for w in (weights.kernel, weights.expand, weights.project))
            padded = F.pad(x.to(kind), (0, 0, kernel.shape[2] - 1, 0))
            mixed = _depthwise(padded, kernel, weights.kernel_bias.to(kind))
            normal, mean, rate = torch.native_layer_norm(
                mixed, [x.shape[2]], weights.scale, weights.shift, eps
            )
            normal = normal.flatten(0, 1)
            hidden, slope = gelu_and_slope(F.linear(normal, expand, weights.expand_bias.to(kind)))
            out = F.linear(hidden, project, weights.project_bias.to(kind))
            ctx.save_for_backward(
                padded, kernel, mixed, mean, rate, weights.scale, weights.shift, normal, expand, hidden,
                slope, project, out, weights.gate,
            )  # fmt: skip
            ctx.kinds = (x.dtype, *(w.dtype for w in weights))
            return x + (weights.gate * out).view(x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """From the gradient [B, T, C] of the output to those of the input and the parameters."""
        (padded, kernel, mixed, mean, rate, scale, shift, normal, expand, hidden, slope,
         project, out, gate) = ctx.saved_tensors  # fmt: skip
        needed = ctx.needs_input_grad[3:]
        learns = BlockWeights(*needed)
        with torch.autocast("cpu", enabled=False):
            given = gradients[0]
            rows = given.flatten(0, 1)
            for_gate = (rows * out).sum(0) if learns.gate else None
            at_out = rows * gate
            for_project_bias = at_out.sum(0) if learns.project_bias else None
            at_out = at_out.to(kernel.dtype)
            for_project = at_out.t() @ hidden if learns.project else None
            at_hidden = (at_out @ project).mul_(slope)
            for_expand = at_hidden.t() @ normal if learns.expand else None
            for_expand_bias = at_hidden.sum(0) if learns.expand_bias else None
            at_mixed, for_scale, for_shift = torch.ops.aten.native_layer_norm_backward(
                (at_hidden @ expand).view(mixed.shape), mixed, [mixed.shape[2]], mean, rate, scale, shift,
                [True, learns.scale, learns.shift],
            )  # fmt: skip
            for_kernel_bias = at_mixed.sum((0, 1)) if learns.kernel_bias else None
            for_kernel = _for_kernel(at_mixed, padded, kernel.shape[2]) if learns.kernel else None
            ahead = F.pad(at_mixed, (0, 0, 0, padded.shape[1] - mixed.shape[1]))
            at_x = given + _depthwise(ahead, kernel.flip(2), None)
            computed = (
                at_x, for_kernel, for_kernel_bias, for_scale, for_shift, for_expand, for_expand_bias,
                for_project, for_project_bias, for_gate,
            )  # fmt: skip
            at_x, *others = (
                None if gradient is None else gradient.to(kind)
                for gradient, kind in zip(computed, ctx.kinds, strict=True)
            )
        return at_x, None, None, *others


def _depthwise(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """[B, T + past, C] with kernel [C, 1, K] -> [B, T, C], as an image one pixel high, channels last."""
    image = x.transpose(1, 2)[:, :, None]
    y = F.conv2d(image, kernel[:, :, None], bias, groups=x.shape[2])
    return y[:, :, 0].transpose(1, 2).contiguous()


def _for_kernel(given: Tensor, padded: Tensor, size: int) -> Tensor:
    """The gradient [C, 1, K] of a depthwise kernel, from that of its output [B, T, C]."""
    kind, (_, frames, channels) = torch.promote_types(given.dtype, torch.float32), given.shape
    total = torch.zeros(size, frames, channels, dtype=kind)
    for one, past in zip(given, padded, strict=True):
        taps = past.to(kind).unfold(0, frames, 1).transpose(1, 2)  # [K, T, C], which overlap
        total.addcmul_(one.to(kind), taps)
    return total.sum(1).t()[:, None]
