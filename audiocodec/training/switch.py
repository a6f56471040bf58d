"""How a denoising switch learns: which parameters are its own, and what a step says of either position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiocodec.nn.film import SwitchableNet

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import Tensor

    from audiocodec.model import CodecModel

PART = "denoise"
"""What `frozen` calls the switch."""
POSITIONS = {"on": True, "off": False}


def freeze(model: CodecModel, frozen: Collection[str]) -> None:
    """Hold the parts that are named; the switch is a part of its own, though it lies in the encoder."""
    for part in frozen:
        if part != PART:
            getattr(model, part).requires_grad_(False)
    if isinstance(model.encoder, SwitchableNet) and model.encoder.film is not None:
        model.encoder.film.requires_grad_(PART not in frozen)


def add_switch(model: CodecModel) -> None:
    """Give a trained model a switch, which does nothing before it is trained."""
    assert isinstance(model.encoder, SwitchableNet)
    model.encoder.add_switch()


def si_sdr_by_switch(estimate: Tensor, target: Tensor, on: Tensor) -> dict[str, Tensor]:
    """SI-SDR in dB of wav [B, 1, L] against [B, 1, L], means of the examples with the switch on [B] and off.

    Le Roux et al. 2019, https://arxiv.org/abs/1811.02508; examples whose target is silent are left out.
    """
    estimate, target = estimate.detach().float()[:, 0], target[:, 0, : estimate.shape[-1]]
    power = target.square().sum(-1)
    wanted = ((estimate * target).sum(-1) / power.clamp(min=1e-12))[:, None] * target
    ratio = wanted.square().sum(-1) / (estimate - wanted).square().sum(-1).clamp(min=1e-12)
    decibels = 10 * ratio.clamp(min=1e-12).log10()
    chosen = {name: (on == value) & (power > 1e-8) for name, value in POSITIONS.items()}
    return {f"si_sdr/{name}": decibels[rows].mean() for name, rows in chosen.items() if bool(rows.any())}
