"""Gradient estimators: how a gradient passes a quantiser, whose own derivative is zero almost everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def straight_through(latents: Tensor, quantized: Tensor) -> Tensor:
    """Quantized values forward, the identity backward (Bengio et al. 2013, https://arxiv.org/abs/1308.3432)."""
    return latents + (quantized - latents).detach()
