"""Multi-band complex STFT discriminator of DAC (Kumar et al. 2023, https://arxiv.org/abs/2306.06546, 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from audiocodec.training.discriminators.layers import Judgment, Spectrum, convolution, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiocodec.training.discriminators.config import DiscriminatorConfig

KERNEL = (3, 9)  # (time, frequency)
SLOPE = 0.1


class BandsDiscriminator(nn.Module):
    """Judges the complex spectrum at one window length, every band by layers of its own."""

    def __init__(self, window_length: int, bands: Sequence[tuple[float, float]], channels: int) -> None:
        super().__init__()
        self.spectrum = Spectrum(window_length)
        bins = window_length // 2 + 1
        self.slices = [slice(int(low * bins), int(high * bins)) for low, high in bands]
        self.stacks = nn.ModuleList(_layers(channels) for _ in bands)
        self.last = convolution(channels, 1, (3, 3))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, T, F / 8], the bands side by side, and the features of all bands."""
        spectrum = self.spectrum(wav)
        features = [
            run(stack.children(), spectrum[..., band], SLOPE)
            for stack, band in zip(self.stacks, self.slices, strict=True)
        ]
        score = self.last(torch.cat([band[-1] for band in features], dim=-1))
        return Judgment(score, [feature for band in features for feature in band])


def _layers(channels: int) -> nn.ModuleList:
    strided = [convolution(channels, channels, KERNEL, (1, 2)) for _ in range(3)]
    return nn.ModuleList(
        [convolution(2, channels, KERNEL), *strided, convolution(channels, channels, (3, 3))]
    )


def build(config: DiscriminatorConfig) -> list[nn.Module]:
    """One sub-discriminator for each window length."""
    sizes = config.bands
    return [BandsDiscriminator(length, sizes.bands, sizes.channels) for length in sizes.window_lengths]
