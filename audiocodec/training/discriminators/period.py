"""Multi-period discriminator of HiFi-GAN, used by DAC too.

Kong et al. 2020, https://arxiv.org/abs/2010.05646, section 2.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.training.discriminators.layers import Judgment, convolution, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiocodec.training.discriminators.config import DiscriminatorConfig

SLOPE = 0.1


class PeriodDiscriminator(nn.Module):
    """Judges samples that lie a fixed period apart, so structure that repeats stands in columns."""

    def __init__(self, period: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.period = period
        pairs = list(zip((1, *channels), channels, strict=False))
        strides = [3] * (len(pairs) - 1) + [1]
        self.layers = nn.ModuleList(
            convolution(*pair, (5, 1), (stride, 1)) for pair, stride in zip(pairs, strides, strict=True)
        )
        self.last = convolution(channels[-1], 1, (3, 1))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, L / (period * 81), period] and features of falling length."""
        missing = -wav.shape[-1] % self.period
        # Mirrored as in the papers, unless there is too little to mirror.
        wav = F.pad(wav.float(), (0, missing), "reflect" if missing < wav.shape[-1] else "constant")
        features = run(self.layers, wav.unflatten(-1, (-1, self.period)), SLOPE)
        return Judgment(self.last(features[-1]), features)


def build(config: DiscriminatorConfig) -> list[nn.Module]:
    """One sub-discriminator for each period."""
    sizes = config.period
    return [PeriodDiscriminator(period, sizes.channels) for period in sizes.periods]
