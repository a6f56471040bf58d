"""Nets that tell recordings from coded sound, by kind. Built by `build_discriminators`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from audiocodec.config import check_names
from audiocodec.training.discriminators import bands, light, period, scale, stft
from audiocodec.training.discriminators.layers import Judgment

if TYPE_CHECKING:
    from audiocodec.training.discriminators.config import DiscriminatorConfig

__all__ = ["DISCRIMINATORS", "Discriminators", "Judgment", "build_discriminators"]

DISCRIMINATORS = {
    "stft": stft.build,
    "period": period.build,
    "scale": scale.build,
    "bands": bands.build,
    "light": light.build,
}

PEAK = 0.8
LEAST_PEAK = 1e-3
"""Examples quieter than this are not scaled up any more: in silence the gradient would have no bound."""


class Discriminators(nn.Module):
    """All sub-discriminators of a recipe, side by side."""

    def __init__(self, parts: list[nn.Module], normalize: bool = False) -> None:
        super().__init__()
        self.parts, self.normalize = nn.ModuleList(parts), normalize

    def forward(self, wav: Tensor) -> list[Judgment]:
        """Wav [B, 1, L] -> one judgment from each sub-discriminator; the gradient reaches `wav`."""
        if self.normalize:
            wav = wav - wav.mean(dim=-1, keepdim=True)
            wav = wav * (PEAK / wav.abs().amax(dim=-1, keepdim=True).clamp(min=LEAST_PEAK))
        return [part(wav) for part in self.parts]


def build_discriminators(config: DiscriminatorConfig) -> Discriminators:
    """Build the discriminators that `config.kinds` names.

    Raises:
        ConfigError: a kind is unknown; the message names the nearest.
    """
    check_names("kinds", config.kinds, DISCRIMINATORS)
    parts = [part for kind in config.kinds for part in DISCRIMINATORS[kind](config)]
    return Discriminators(parts, config.normalize)
