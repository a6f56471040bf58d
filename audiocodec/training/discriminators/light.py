"""A multi-resolution STFT discriminator made for processors without an accelerator.

Built like EnCodec's, but the first layer takes patches of frequencies, so no layer works on every frequency
of every frame, where EnCodec's and DAC's spend nearly all their time. Magnitudes are compressed, as in speech
enhancement, for quiet consonants to count beside loud vowels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from audiocodec.training.discriminators.layers import Judgment, Spectrum, convolution, run, weight_norm

if TYPE_CHECKING:
    from audiocodec.training.discriminators.config import DiscriminatorConfig, LightConfig

SLOPE = 0.2
FLOOR = 1e-6
"""Power of a spectrum's value below which it is no longer compressed: near 16-bit rounding noise."""


class LightDiscriminator(nn.Module):
    """Judges patches of the compressed complex spectrum at one window length."""

    def __init__(self, window_length: int, config: LightConfig) -> None:
        super().__init__()
        self.spectrum, self.exponent = Spectrum(window_length), config.exponent
        first, width, patch = config.channels, 2 * config.channels, config.patch
        # Overlapping by half on each side, so no frequency lies at the edge of all patches that hold it.
        patches = nn.Conv2d(2, first, (3, 2 * patch), (1, patch), (1, patch // 2))
        self.layers = nn.ModuleList(
            [
                weight_norm(patches),
                convolution(first, width, (3, 3), (2, 2)),
                convolution(width, width, (3, 3), (1, 2), (2, 1)),
                convolution(width, width, (3, 3)),
            ]
        )
        self.last = convolution(width, 1, (3, 3))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, T / 2, F / (4 * patch)] and features."""
        spectrum = self.spectrum(wav)
        power = spectrum.square().sum(dim=1, keepdim=True) + FLOOR
        features = run(self.layers, spectrum * power ** ((self.exponent - 1) / 2), SLOPE)
        return Judgment(self.last(features[-1]), features)


def build(config: DiscriminatorConfig) -> list[nn.Module]:
    """One sub-discriminator for each window length."""
    return [LightDiscriminator(length, config.light) for length in config.light.window_lengths]
