"""The SEANet encoder of SoundStream and EnCodec, with their sizes as presets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from audiocodec.nn.blocks import EncoderBlock, SEANetConfig, make_activation
from audiocodec.nn.conv import CausalConv1d, normalize
from audiocodec.nn.film import SwitchableNet
from audiocodec.nn.lstm import SkipLSTM

if TYPE_CHECKING:
    from audiocodec.nn.film import Switch
    from audiocodec.nn.streaming import StreamState

__all__ = ["ENCODEC", "SOUNDSTREAM", "Encoder", "SEANetConfig"]

ENCODEC = SEANetConfig()
"""EnCodec at 24 kHz, Défossez et al. 2022, https://arxiv.org/abs/2210.13438: 14.85 M parameters."""

SOUNDSTREAM = SEANetConfig(
    dim=256,
    latent_kernel_size=3,
    residual_kernel_size=7,
    residual_layers=3,
    dilation_base=3,
    conv_shortcut=False,
    lstm_layers=0,
    norm="none",
)
"""SoundStream at 24 kHz, Zeghidour et al. 2021, https://arxiv.org/abs/2107.03312: 8.4 M parameters.

D and the width inside residual units are inferred from that total: units of full width would need more than
9.1 M for any D; half the width (`compress` 2) and D = 256 give 8.40 M.
"""


class Encoder(SwitchableNet):
    """Samples to latents, causal; its switch is before the last convolution."""

    def __init__(self, config: SEANetConfig) -> None:
        super().__init__(config.channels << len(config.strides))
        width = config.channels
        self.first = normalize(CausalConv1d(1, width, config.kernel_size), config.norm)
        blocks = [EncoderBlock(width << depth, stride, config) for depth, stride in enumerate(config.strides)]
        self.blocks = nn.ModuleList(blocks)
        width <<= len(blocks)
        self.lstm = SkipLSTM(width, config.lstm_layers) if config.lstm_layers else None
        self.activation = make_activation(config.activation, width)
        self.last = normalize(CausalConv1d(width, config.dim, config.latent_kernel_size), config.norm)

    def forward(self, wav: Tensor, state: StreamState | None = None, denoise: Switch = False) -> Tensor:
        """Wav [B, 1, T * hop_length] -> latents [B, D, T]; `state=None` is offline.

        `denoise` is for all, for each example [B] or frame [B, T].

        Raises:
            InputError: the length is no multiple of the hop length, or `state` is of another stream.
        """
        x = self.first(wav, state)
        for block in self.blocks:
            x = block(x, state)
        if self.lstm is not None:
            x = self.lstm(x, state)
        return self.last(self.switched(self.activation(x), denoise), state)
