"""A fixed scale for latents, and the precision that needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def full_precision(x: Tensor) -> Tensor:
    """Single precision for 16-bit numbers, which FFTs and running statistics cannot do with."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


class _Directional(torch.autograd.Function):
    """The identity, without gradient along its input: the loss cannot change the input's overall size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        along = (gradient * x).sum() / x.square().sum().clamp(min=1e-20)
        return gradient - along * x


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
                self.mean_square.lerp_(full_precision(latents).square().mean(), 1 - self.decay)
        return _Directional.apply(full_precision(latents)) * self.mean_square.rsqrt()
