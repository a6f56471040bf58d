"""Multi-scale complex STFT discriminator of EnCodec.

Défossez et al. 2022, https://arxiv.org/abs/2210.13438, section 3.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from audiocodec.training.discriminators.layers import Judgment, Spectrum, convolution, run

if TYPE_CHECKING:
    from audiocodec.training.discriminators.config import DiscriminatorConfig

KERNEL = (3, 9)  # (time, frequency); the paper says 3 x 8, the authors' code has 9
DILATIONS = (1, 2, 4)
SLOPE = 0.2


class STFTDiscriminator(nn.Module):
    """Judges the complex spectrum at one window length."""

    def __init__(self, window_length: int, channels: int) -> None:
        super().__init__()
        self.spectrum = Spectrum(window_length)
        dilated = [convolution(channels, channels, KERNEL, (1, 2), (dilation, 1)) for dilation in DILATIONS]
        self.layers = nn.ModuleList(
            [convolution(2, channels, KERNEL), *dilated, convolution(channels, channels, (3, 3))]
        )
        self.last = convolution(channels, 1, (3, 3))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, T, F / 8] and features [B, C, T, F], then F / 2, F / 4, F / 8, F / 8."""
        features = run(self.layers, self.spectrum(wav), SLOPE)
        return Judgment(self.last(features[-1]), features)


def build(config: DiscriminatorConfig) -> list[nn.Module]:
    """One sub-discriminator for each window length."""
    sizes = config.stft
    return [STFTDiscriminator(length, sizes.channels) for length in sizes.window_lengths]
