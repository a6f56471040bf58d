"""The frame-rate family of nets: compressed complex STFT in, ConvNeXt blocks, inverse-STFT head out.

The idea of running the whole net at the frame rate is Vocos', https://arxiv.org/abs/2306.00814; the
power-compressed complex spectrum is common in speech enhancement (Braun and Tashev 2020,
https://arxiv.org/abs/2009.12286).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.errors import ConfigError, InputError
from audiocodec.nn.convnext import ConvNeXtBlock
from audiocodec.nn.film import Switch, SwitchableNet
from audiocodec.nn.phase_noise import NumQuantizers, PhaseNoise
from audiocodec.nn.streaming import StreamState, recall
from audiocodec.ranks import sum_over_ranks, world_size

MAX_NOISY_WINDOW = 8192
"""Samples of the longest window with random phase: its table grows with the window, and a file may claim any
length."""
ANALYZED_AT_ONCE = 16
"""Examples whose spectra are held at a time when a linear codec is fitted."""


@dataclass(frozen=True)
class SpectralConfig:
    """Sizes of the frame-rate nets (kind spectral).

    Attributes:
        kind: name of this family of nets in a recipe.
        hop_length: samples per frame of codes.
        substeps: STFT frames in one frame of codes.
        window_length: samples of one STFT window, 2 or more whole hops of the STFT.
        exponent: power to which magnitudes are raised; phases stay; above 0, up to 1.
        dim: width D of the latents.
        encoder_channels: width of the encoder's blocks.
        encoder_blocks: number of the encoder's blocks.
        decoder_channels: width of the decoder's blocks.
        decoder_blocks: number of the decoder's blocks.
        kernel_size: kernel size of the convolution in each block, in frames of codes.
        expansion: hidden width of a block, as a multiple of its channels.
        noise_gains: gain of the part with random phase, for each number of quantizers; empty for no random
            phase. See `PhaseNoise`.
        noise_crossover: frequency at which half of the phase is random, as a share of half the sample rate.
        noise_slope: width of the transition to random phase, in the same unit.
    """

    kind: Literal["spectral"] = "spectral"
    hop_length: int = 320
    substeps: int = 2
    window_length: int = 480
    exponent: float = 0.3
    dim: int = 128
    encoder_channels: int = 384
    encoder_blocks: int = 6
    decoder_channels: int = 512
    decoder_blocks: int = 8
    kernel_size: int = 7
    expansion: float = 3.0
    noise_gains: tuple[float, ...] = ()
    noise_crossover: float = 0.1875
    noise_slope: float = 0.01875

    def __post_init__(self) -> None:
        """Check that every size is one, and that the windows overlap evenly.

        Raises:
            ConfigError: a size is not possible, or sizes do not divide each other.
        """
        widths = (self.dim, self.encoder_channels, self.decoder_channels, self.kernel_size, self.substeps)
        if min(*widths, self.hop_length, self.encoder_blocks + 1, self.decoder_blocks + 1) < 1:
            raise ConfigError("sizes must be 1 or more, numbers of blocks 0 or more")
        if not 0 < self.exponent <= 1 or self.expansion <= 0:
            raise ConfigError("exponent must be above 0 and at most 1, expansion above 0")
        if self.hop_length % self.substeps:
            raise ConfigError(f"hop_length {self.hop_length} is not a multiple of substeps {self.substeps}")
        if not all(gain > 0 for gain in (*self.noise_gains, self.noise_slope)):
            raise ConfigError("noise_gains and noise_slope must be above 0")
        if self.noise_gains and self.window_length > MAX_NOISY_WINDOW:
            raise ConfigError(f"noise_gains need a window_length of {MAX_NOISY_WINDOW} at most")
        overlap, rest = divmod(self.window_length, self.stft_hop)
        if rest or overlap < 2:
            raise ConfigError(
                f"window_length {self.window_length} must be 2 or more times"
                f" hop_length / substeps = {self.stft_hop}"
            )

    @property
    def stft_hop(self) -> int:
        """Samples between two STFT windows."""
        return self.hop_length // self.substeps

    @property
    def features(self) -> int:
        """Real numbers that describe one frame of codes."""
        return self.substeps * 2 * (self.window_length // 2 + 1)

    @property
    def delay(self) -> int:
        """Samples by which the decoder's output lags the encoder's input."""
        return self.window_length - self.stft_hop


def full_precision(x: Tensor) -> Tensor:
    """Single precision for 16-bit numbers, which FFTs and running statistics cannot do with."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def compress(spectrum: Tensor, exponent: float) -> Tensor:
    """Raise the magnitude of a complex spectrum to `exponent`, keeping its phase."""
    # The constant is near the power of 16-bit rounding noise, so silence has no wild phase.
    power = spectrum.real.square() + spectrum.imag.square() + 1e-8
    return spectrum * power ** ((exponent - 1) / 2)


def expand(spectrum: Tensor, exponent: float) -> Tensor:
    """Undo `compress`."""
    power = spectrum.real.square() + spectrum.imag.square() + 1e-8
    return spectrum * power ** ((1 / exponent - 1) / 2)


class Analysis(nn.Module):
    """Samples to compressed complex STFT frames, causal; no parameters."""

    window: Tensor

    def __init__(self, config: SpectralConfig) -> None:
        """Square-root Hann windows, as in `Synthesis`."""
        super().__init__()
        self.hop, self.length = config.stft_hop, config.window_length
        self.substeps, self.exponent = config.substeps, config.exponent
        self.register_buffer("window", torch.hann_window(self.length).sqrt(), persistent=False)

    def forward(self, wav: Tensor, state: StreamState | None = None) -> Tensor:
        """[B, 1, T * hop_length] -> [B, F, T]: the STFT frames of a hop stacked, real then imaginary parts.

        Raises:
            InputError: the length is no multiple of the hop length, or `state` is of another stream.
        """
        hop_length = self.hop * self.substeps
        if wav.shape[-1] % hop_length or not wav.shape[-1]:
            raise InputError(
                f"{wav.shape[-1]} samples are no positive multiple of {hop_length}; pad or buffer them"
            )
        past = recall(state, self, wav, self.length - self.hop)
        samples = torch.cat([past, wav[:, 0]], dim=-1)
        if state is not None:
            state[self] = samples[:, samples.shape[-1] - (self.length - self.hop) :]
        frames = samples.unfold(-1, self.length, self.hop) * self.window
        spectrum = compress(torch.fft.rfft(frames), self.exponent)
        stacked = torch.cat([spectrum.real, spectrum.imag], dim=-1)  # [B, T * substeps, 2 * bins]
        return stacked.reshape(stacked.shape[0], -1, self.substeps * stacked.shape[-1]).transpose(1, 2)


class Synthesis(nn.Module):
    """Compressed complex STFT frames to samples by overlap-add; no parameters.

    Output lags by `window_length - stft_hop` samples: a sample is given out when its last window is known.
    """

    window: Tensor

    def __init__(self, config: SpectralConfig) -> None:
        """Windows of analysis and synthesis multiply to Hann, whose overlapping copies add to a constant."""
        super().__init__()
        self.hop, self.length = config.stft_hop, config.window_length
        self.substeps, self.exponent = config.substeps, config.exponent
        window = torch.hann_window(self.length).sqrt() * (2 * self.hop / self.length)
        self.register_buffer("window", window, persistent=False)
        self.noise: PhaseNoise | None = None
        if config.noise_gains:
            self.noise = PhaseNoise(
                self.length // 2 + 1,
                config.noise_gains,
                config.noise_crossover,
                config.noise_slope,
            )

    def forward(
        self,
        features: Tensor,
        state: StreamState | None = None,
        num_quantizers: NumQuantizers = None,
        renderings: int = 1,
    ) -> Tensor:
        """[B, F, T] -> [renderings * B, 1, T * hop_length].

        In training each rendering has other random phases.
        """
        stacked = full_precision(features.transpose(1, 2))
        stacked = stacked.reshape(stacked.shape[0], stacked.shape[1] * self.substeps, -1)
        real, imag = stacked.chunk(2, dim=-1)
        spectrum = expand(torch.complex(real.contiguous(), imag.contiguous()), self.exponent)
        if renderings > 1:
            spectrum = torch.cat([spectrum] * renderings)
        if self.noise is not None:
            if isinstance(num_quantizers, Tensor) and num_quantizers.dim():
                num_quantizers = torch.cat([num_quantizers] * renderings)
            spectrum = self.noise(spectrum, state, num_quantizers)
        frames = torch.fft.irfft(spectrum, n=self.length) * self.window  # [B, T * substeps, window_length]
        total = self.hop * (frames.shape[1] - 1) + self.length
        wav = F.fold(frames.transpose(1, 2), (1, total), (1, self.length), stride=(1, self.hop))[:, 0, 0]
        tail = recall(state, self, wav, self.length - self.hop)
        wav = torch.cat([wav[:, : tail.shape[1]] + tail, wav[:, tail.shape[1] :]], dim=-1)
        ready = frames.shape[1] * self.hop
        if state is not None:
            state[self] = wav[:, ready:]
        return wav[:, None, :ready]


class _Directional(torch.autograd.Function):
    """The identity, without gradient along its input: the loss cannot change the input's overall size."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,), (gradient,) = ctx.saved_tensors, gradients
        along, size = sum_over_ranks(torch.stack([(gradient * x).sum(), x.square().sum()]))
        return gradient - along / size.clamp(min=1e-20) * x


class LatentScale(nn.Module):
    """Divides latents by their running root mean square, so that they cannot outgrow the codebooks.

    One number for all dimensions. Latents get no gradient along their own direction: a commitment loss would
    shrink them for ever, as the division undoes each step, until every step moves the layer before this one
    by far too much of its size (seen: mean square 0.4 to 1e-5 in 3,000 steps, gradients growing thirtyfold).
    """

    mean_square: Tensor

    def __init__(self, decay: float = 0.99) -> None:
        """`decay` of the running mean square, in training steps."""
        super().__init__()
        self.decay = decay
        self.register_buffer("mean_square", torch.ones(()))

    def forward(self, latents: Tensor) -> Tensor:
        """[B, D, T] -> [B, D, T]; updates the running scale in training mode."""
        if self.training:
            with torch.no_grad():
                mean_square = full_precision(latents).square().mean()
                self.mean_square.lerp_(sum_over_ranks(mean_square) / world_size(), 1 - self.decay)
        return _Directional.apply(full_precision(latents)) * self.mean_square.rsqrt()


class SpectralEncoder(SwitchableNet):
    """Samples [B, 1, T * hop_length] to latents [B, D, T]; its switch is before the projection to latents."""

    def __init__(self, config: SpectralConfig) -> None:
        """Sizes from `config`."""
        super().__init__(config.encoder_channels)
        width = config.encoder_channels
        self.analysis = Analysis(config)
        self.project_in = nn.Linear(config.features, width)
        blocks = [
            ConvNeXtBlock(width, config.kernel_size, config.expansion) for _ in range(config.encoder_blocks)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.project_out = nn.Linear(width, config.dim)
        self.scale = LatentScale()

    def forward(self, wav: Tensor, state: StreamState | None = None, denoise: Switch = False) -> Tensor:
        """[B, 1, T * hop_length] -> [B, D, T]; `denoise` is for all, for each example [B] or frame [B, T]."""
        x = self.project_in(self.analysis(wav, state).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x, state)
        x = self.switched(x, denoise)
        return self.scale(self.project_out(x.transpose(1, 2)).transpose(1, 2))


class SpectralDecoder(nn.Module):
    """Quantized latents [B, D, T] to samples [B, 1, T * hop_length]."""

    def __init__(self, config: SpectralConfig) -> None:
        """Sizes from `config`."""
        super().__init__()
        width = config.decoder_channels
        self.project_in = nn.Linear(config.dim, width)
        blocks = [
            ConvNeXtBlock(width, config.kernel_size, config.expansion) for _ in range(config.decoder_blocks)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.project_out = nn.Linear(width, config.features)
        self.synthesis = Synthesis(config)

    def forward(
        self,
        quantized: Tensor,
        state: StreamState | None = None,
        num_quantizers: NumQuantizers = None,
        renderings: int = 1,
    ) -> Tensor:
        """[B, D, T] -> [renderings * B, 1, T * hop_length], lagging by `SpectralConfig.delay` samples.

        `num_quantizers` says how many quantizers the latents come from. In training each rendering
        has other random phases; the batch is repeated as a whole.
        """
        x = self.project_in(quantized.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x = block(x, state)
        features = self.project_out(x.transpose(1, 2)).transpose(1, 2)
        return self.synthesis(features, state, num_quantizers, renderings)

    def skip(self, state: StreamState, batch: int, frames: int) -> None:
        """Advance a stream of `batch` items by `frames` frames of codes that are not decoded."""
        if self.synthesis.noise is not None:
            self.synthesis.noise.skip(state, batch, frames * self.synthesis.substeps)


@torch.no_grad()
def start_linear(encoder: SpectralEncoder, decoder: SpectralDecoder, wav: Tensor) -> None:
    """Start both nets as a linear codec: principal components of the compressed spectrum of `wav` [B, 1, L].

    The encoder's first layer projects on the leading components, the decoder's last layer maps them back;
    between them the layers pass them on and the blocks are nearly the identity. Training then starts from
    intelligible speech instead of noise.

    Raises:
        ConfigError: the latents are wider than a net, or than a frame has numbers.
    """
    layers = (encoder.project_in, encoder.project_out, decoder.project_in, decoder.project_out)
    dim = decoder.project_in.in_features
    narrowest = min(encoder.project_in.out_features, *(layer.out_features for layer in layers[2:]))
    if dim > narrowest:
        raise ConfigError(f"latents of width {dim} do not fit through nets of {narrowest}; lower dim")
    components, variances = _principal_components(encoder.analysis, wav)
    for layer in layers:
        nn.init.zeros_(layer.bias)
        nn.init.normal_(layer.weight, std=1e-3)
    width = min(encoder.project_in.out_features, components.shape[0])
    encoder.project_in.weight[:width] += components[:width]
    encoder.project_out.weight.diagonal().add_(1.0)
    encoder.scale.mean_square.copy_(variances[:dim].mean())
    decoder.project_in.weight.diagonal().add_(encoder.scale.mean_square.sqrt())
    decoder.project_out.weight[:, :dim] += components[:dim].t()


def _principal_components(analysis: Analysis, wav: Tensor) -> tuple[Tensor, Tensor]:
    """Components [F, F], one a row, and variances [F] of the frames of `wav` [B, 1, L], largest first."""
    moment, frames = torch.zeros(()), 0
    for part in wav.split(ANALYZED_AT_ONCE):
        features = analysis(part).transpose(1, 2).flatten(0, 1)
        moment = features.t() @ features + moment.to(features)
        frames += features.shape[0]
    variances, vectors = torch.linalg.eigh(moment / frames)
    return vectors.flip(1).t(), variances.flip(0)
