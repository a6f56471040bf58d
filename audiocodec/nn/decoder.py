"""The SEANet decoder of SoundStream and EnCodec: the encoder's mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from audiocodec.nn.blocks import DecoderBlock, SEANetConfig, make_activation
from audiocodec.nn.conv import CausalConv1d, normalize
from audiocodec.nn.lstm import SkipLSTM

if TYPE_CHECKING:
    from audiocodec.nn.streaming import StreamState


class Decoder(nn.Module):
    """Quantized latents to samples, causal and without delay."""

    def __init__(self, config: SEANetConfig) -> None:
        super().__init__()
        width = config.channels << len(config.strides)
        self.first = normalize(CausalConv1d(config.dim, width, config.kernel_size), config.norm)
        self.lstm = SkipLSTM(width, config.lstm_layers) if config.lstm_layers else None
        widths = [config.channels << depth for depth in range(len(config.strides))]
        blocks = [DecoderBlock(w, stride, config) for w, stride in zip(widths, config.strides, strict=True)]
        self.blocks = nn.ModuleList(reversed(blocks))
        self.activation = make_activation(config.activation, config.channels)
        self.last = normalize(CausalConv1d(config.channels, 1, config.kernel_size), config.norm)

    def forward(self, quantized: Tensor, state: StreamState | None = None) -> Tensor:
        """Quantized latents [B, D, T] -> wav [B, 1, T * hop_length]; `state=None` is offline.

        Raises:
            InputError: `state` is of another stream.
        """
        x = self.first(quantized, state)
        if self.lstm is not None:
            x = self.lstm(x, state)
        for block in self.blocks:
            x = block(x, state)
        return self.last(self.activation(x), state)
