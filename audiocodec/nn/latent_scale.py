"""A fixed scale for latents, and the precision that needs."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def full_precision(x: Tensor) -> Tensor:
    """Single precision for 16-bit numbers, which FFTs and running statistics cannot do with."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def _over_ranks(tensor: Tensor) -> Tensor:
    """Sum over the processes that train together; `tensor` itself in a single one."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total


class _Directional(torch.autograd.Function):
    """The identity, without gradient along its input: the loss cannot change the input's overall size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        along, size = _over_ranks(torch.stack([(gradient * x).sum(), x.square().sum()]))
        return gradient - along / size.clamp(min=1e-20) * x


class LatentScale(nn.Module):
    """Divides latents by their running root mean square, so that they cannot outgrow the codebooks.

    One number for all dimensions. Latents get no gradient along their own direction: a commitment loss would
    shrink them for ever, as the division undoes each step, until every step moves the layer before this one
    by far too much of its size (seen: mean square 0.4 to 1e-5 in 3,000 steps, gradients growing thirtyfold).
    """

    mean_square: Tensor

    def __init__(self, decay: float = 0.99) -> None:
        """`decay` of the running mean square, in training steps."""
        super().__init__()
        self.decay = decay
        self.register_buffer("mean_square", torch.ones(()))

    def forward(self, latents: Tensor) -> Tensor:
        """[B, D, T] -> [B, D, T]; updates the running scale in training mode."""
        if self.training:
            with torch.no_grad():
                mean_square = full_precision(latents).square().mean()
                ranks = _over_ranks(torch.ones_like(mean_square))
                self.mean_square.lerp_(_over_ranks(mean_square) / ranks, 1 - self.decay)
        return _Directional.apply(full_precision(latents)) * self.mean_square.rsqrt()
