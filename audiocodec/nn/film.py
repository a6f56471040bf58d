"""A switch on the activations of a net: feature-wise linear modulation (FiLM) by a condition of two values.

Perez et al. 2018, https://arxiv.org/abs/1709.07871; SoundStream switches denoising on and off with it,
Zeghidour et al. 2021, https://arxiv.org/abs/2107.03312, section III-F.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiocodec.errors import InputError

NO_SWITCH = "this model has no denoising switch; leave it off, or use a model that has one"
"""Error message for switching it on."""
Switch = bool | Tensor
"""On or off: one value for all, or one for each example [B] or each frame [B, T]."""
REACH = 10.0
"""Factor on the parameters. Adam changes each by about the learning rate, however large its gradient: 3,000
steps of fine-tuning at 1e-4 could not switch a channel off, which takes a change of 1."""


class FiLM(nn.Module):
    """Scales and shifts each channel while the switch is on; while it is off, it changes nothing.

    SoundStream has scales and shifts for both positions. Those for "off" are left out here, as the linear
    layer that follows can express them; so "off" is exactly the net without a switch. A new switch does
    nothing in either position. It has no memory: each frame depends on the switch in that frame only.
    """

    def __init__(self, channels: int) -> None:
        """Start as the identity."""
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, on: Switch) -> Tensor:
        """[B, C, T] -> [B, C, T]; `on` is one value, or 0 and 1 in a tensor [B] or [B, T].

        Raises:
            InputError: `on` has another shape.
        """
        if on is False:
            return x
        scale, shift = REACH * self.scale[:, None], REACH * self.shift[:, None]
        if isinstance(on, Tensor):
            batch, _, frames = x.shape
            if tuple(on.shape) not in ((batch,), (batch, frames)):
                raise InputError(
                    f"the switch has shape {list(on.shape)}; give one value, [{batch}] or [{batch}, {frames}]"
                )
            where = on.to(scale).reshape(batch, 1, -1)
            scale, shift = where * scale, where * shift
        return x * (1 + scale) + shift


class SwitchableNet(nn.Module):
    """A net that can be given a denoising switch on one of its layers.

    Attributes:
        film: the switch; None before `add_switch`.
    """

    def __init__(self, switched_channels: int) -> None:
        """`switched_channels` is the width of the layer that can be switched."""
        super().__init__()
        self.switched_channels = switched_channels
        self.film: FiLM | None = None

    def add_switch(self) -> None:
        """Add a switch, which does nothing until it is trained."""
        self.film = FiLM(self.switched_channels).to(next(self.parameters()).device)

    def switched(self, x: Tensor, on: Switch) -> Tensor:
        """The layer's activations [B, C, T] with the switch at `on`.

        Raises:
            InputError: there is no switch to be on.
        """
        if on is False:
            return x
        if self.film is None:
            raise InputError(NO_SWITCH)
        return self.film(x, on)
