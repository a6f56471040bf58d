"""Multi-scale waveform discriminator of MelGAN and SoundStream.

Kumar et al. 2019, https://arxiv.org/abs/1910.06711, section 2.2; Zeghidour et al. 2021,
https://arxiv.org/abs/2107.03312, section III-D.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.training.discriminators.layers import Judgment, run, weight_norm

if TYPE_CHECKING:
    from audiocodec.training.discriminators.config import DiscriminatorConfig

SLOPE = 0.2
STRIDED_LAYERS = 4
GROUP = 4
"""Input channels of a group, stride and growth of the channels in a strided layer."""
SHORTEST = 16
"""Samples up to which sound is filled up, for every scale to have some."""


class ScaleDiscriminator(nn.Module):
    """Judges the waveform after halving its rate `halvings` times."""

    def __init__(self, halvings: int, channels: int, max_channels: int) -> None:
        super().__init__()
        self.halvings = halvings
        widths = [min(channels * GROUP**layer, max_channels) for layer in range(STRIDED_LAYERS + 1)]
        strided = [
            nn.Conv1d(before, after, 41, GROUP, 20, groups=max(1, before // GROUP))
            for before, after in itertools.pairwise(widths)
        ]
        first, second_last = nn.Conv1d(1, channels, 15, 1, 7), nn.Conv1d(widths[-1], widths[-1], 5, 1, 2)
        self.layers = nn.ModuleList(weight_norm(layer) for layer in (first, *strided, second_last))
        self.last = weight_norm(nn.Conv1d(widths[-1], 1, 3, 1, 1))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, L / (256 * 2 ** halvings)] and features of falling length."""
        wav = F.pad(wav.float(), (0, max(0, SHORTEST - wav.shape[-1])))
        for _ in range(self.halvings):
            wav = F.avg_pool1d(wav, 4, 2, 1, count_include_pad=False)
        features = run(self.layers, wav, SLOPE)
        return Judgment(self.last(features[-1]), features)


def build(config: DiscriminatorConfig) -> list[nn.Module]:
    """One sub-discriminator for each scale: the rate itself, half of it, a quarter, ..."""
    sizes = config.scale
    return [ScaleDiscriminator(scale, sizes.channels, sizes.max_channels) for scale in range(sizes.scales)]
