"""The waveform nets of SoundStream and EnCodec: SEANet encoder and decoder.

SEANet: Tagliasacchi et al. 2020, https://arxiv.org/abs/2009.02095. EnCodec: Défossez et al. 2022,
https://arxiv.org/abs/2210.13438. SoundStream: Zeghidour et al. 2021, https://arxiv.org/abs/2107.03312.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.nn.conv import CausalConv1d, CausalConvTranspose1d, Norm, normalize
from audiocodec.nn.film import Switch, SwitchableNet
from audiocodec.nn.phase_noise import NumQuantizers
from audiocodec.nn.streaming import StreamState, recall

Activation = Literal["elu", "snake"]


@dataclass(frozen=True)
class SEANetConfig:
    """Sizes of the waveform nets; the defaults are EnCodec's at 24 kHz, 14.85 M parameters.

    Attributes:
        kind: name of this family of nets in a recipe.
        channels: width C of the first layer, at the sample rate; it doubles in each encoder block.
        dim: width D of the latents.
        strides: factors by which the encoder blocks lower the rate, the first block first; the decoder
            raises the rate by the same factors in reverse order.
        kernel_size: kernel size of the first and last convolutions, in samples.
        latent_kernel_size: kernel size of the encoder's last convolution, in frames.
        residual_kernel_size: kernel size in the residual units, before dilation.
        residual_layers: number of residual units in a block.
        dilation_base: unit j of a block has dilation `dilation_base` ** j.
        compress: factor by which the hidden width of a residual unit is smaller than its input.
        conv_shortcut: whether residual units pass their input through a 1x1 convolution instead of unchanged.
        lstm_layers: number of LSTM layers at the end of the encoder and at the start of the decoder.
        activation: activation function, "elu" or "snake".
        norm: "weight" for weight normalization, "none" for plain weights.
    """

    kind: Literal["seanet"] = "seanet"
    channels: int = 32
    dim: int = 128
    strides: tuple[int, ...] = (2, 4, 5, 8)
    kernel_size: int = 7
    latent_kernel_size: int = 7
    residual_kernel_size: int = 3
    residual_layers: int = 1
    dilation_base: int = 2
    compress: int = 2
    conv_shortcut: bool = True
    lstm_layers: int = 2
    activation: Activation = "elu"
    norm: Norm = "weight"

    def __post_init__(self) -> None:
        """Check what would otherwise fail late or, worse, pass.

        Raises:
            ConfigError: a size or a name is not possible.
        """
        if not self.strides or min(self.strides) < 1:
            raise ConfigError(f"strides {self.strides} must be one or more factors of 1 or more")
        if self.compress < 1 or self.channels % self.compress:
            raise ConfigError(f"channels {self.channels} must be a multiple of compress {self.compress}")
        for field, given, allowed in (("activation", self.activation, Activation), ("norm", self.norm, Norm)):
            if given not in get_args(allowed):
                raise ConfigError(f"{field} is {given!r}; choose one of {', '.join(get_args(allowed))}")

    @property
    def hop_length(self) -> int:
        """Samples per frame of codes."""
        return math.prod(self.strides)

    @property
    def delay(self) -> int:
        """Samples by which the decoder's output lags the encoder's input: none."""
        return 0


class Snake(nn.Module):
    """x + sin(a x)^2 / a with a learned rate a for each channel: a bias towards periodic signals.

    Ziyin et al. 2020, https://arxiv.org/abs/2006.08195, equation 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.ones(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T] -> [B, C, T]."""
        return x + (self.rate * x).sin().square() / (self.rate + 1e-9)


def make_activation(name: Activation, channels: int) -> nn.Module:
    """Build the activation that a configuration names."""
    return Snake(channels) if name == "snake" else nn.ELU()


class ResidualUnit(nn.Module):
    """Adds to its input what a dilated convolution and a 1x1 convolution make of it."""

    def __init__(self, channels: int, dilation: int, config: SEANetConfig) -> None:
        super().__init__()
        hidden = channels // config.compress
        self.activation_in = make_activation(config.activation, channels)
        self.dilated = normalize(
            CausalConv1d(channels, hidden, config.residual_kernel_size, dilation=dilation), config.norm
        )
        self.activation_out = make_activation(config.activation, hidden)
        self.pointwise = normalize(CausalConv1d(hidden, channels, 1), config.norm)
        self.shortcut = nn.Identity()
        if config.conv_shortcut:
            self.shortcut = normalize(CausalConv1d(channels, channels, 1), config.norm)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """[B, C, T] -> [B, C, T]."""
        y = self.dilated(self.activation_in(x), state)
        return self.shortcut(x) + self.pointwise(self.activation_out(y), state)


def residual_units(channels: int, config: SEANetConfig) -> nn.ModuleList:
    """Build the units of one block, each seeing further than the one before."""
    dilations = (config.dilation_base**layer for layer in range(config.residual_layers))
    return nn.ModuleList(ResidualUnit(channels, dilation, config) for dilation in dilations)


class EncoderBlock(nn.Module):
    """Residual units, then the rate divided by `stride` and twice the channels."""

    def __init__(self, channels: int, stride: int, config: SEANetConfig) -> None:
        super().__init__()
        self.units = residual_units(channels, config)
        self.activation = make_activation(config.activation, channels)
        self.downsample = normalize(CausalConv1d(channels, 2 * channels, 2 * stride, stride), config.norm)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """[B, C, T * stride] -> [B, 2C, T]."""
        for unit in self.units:
            x = unit(x, state)
        return self.downsample(self.activation(x), state)


class DecoderBlock(nn.Module):
    """Mirror of `EncoderBlock`: rate times `stride` and half the channels, then residual units."""

    def __init__(self, channels: int, stride: int, config: SEANetConfig) -> None:
        super().__init__()
        self.activation = make_activation(config.activation, 2 * channels)
        self.upsample = normalize(
            CausalConvTranspose1d(2 * channels, channels, 2 * stride, stride), config.norm
        )
        self.units = residual_units(channels, config)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """[B, 2C, T] -> [B, C, T * stride]."""
        x = self.upsample(self.activation(x), state)
        for unit in self.units:
            x = unit(x, state)
        return x


class SkipLSTM(nn.Module):
    """LSTM layers with one skip around them all: EnCodec, section 3.1."""

    def __init__(self, channels: int, num_layers: int = 2) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers, batch_first=True)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        """[B, C, T] -> [B, C, T].

        Raises:
            InputError: `state` is of another stream.
        """
        # Hidden rows, then cell rows.
        past = recall(state, self, x, 2 * self.lstm.num_layers, self.lstm.hidden_size)
        hidden, cell = past.transpose(0, 1).contiguous().chunk(2)
        y, present = self.lstm(x.transpose(1, 2), (hidden, cell))
        if state is not None:
            state[self] = torch.cat(present).transpose(0, 1)
        return x + y.transpose(1, 2)


class SEANetEncoder(SwitchableNet):
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


class SEANetDecoder(nn.Module):
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

    def forward(
        self,
        quantized: Tensor,
        state: StreamState | None = None,
        num_quantizers: NumQuantizers = None,
        renderings: int = 1,
    ) -> Tensor:
        """Quantized latents [B, D, T] -> wav [renderings * B, 1, T * hop_length]; `state=None` is offline.

        As nothing is random here, all renderings are equal and `num_quantizers` makes no difference.

        Raises:
            InputError: `state` is of another stream.
        """
        del num_quantizers
        x = self.first(quantized, state)
        if self.lstm is not None:
            x = self.lstm(x, state)
        for block in self.blocks:
            x = block(x, state)
        wav = self.last(self.activation(x), state)
        return wav if renderings == 1 else torch.cat([wav] * renderings)
