"""Nets that tell recordings from coded audio, by kind; each with what a recipe can say about it.

The defaults are the sizes of the papers.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from audiocodec.config import check_least, check_names
from audiocodec.errors import ConfigError
from audiocodec.losses.spectra import spectrum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

M = TypeVar("M", bound=nn.Module)

PEAK = 0.8
LEAST_PEAK = 1e-3
"""Examples quieter than this are not scaled up to PEAK: in silence the gradient would have no bound."""


class Judgment(NamedTuple):
    """What one sub-discriminator says of a batch.

    Attributes:
        score: [B, 1, ...], one number for each region of the input; higher means more real.
        features: outputs of its hidden layers, [B, C, ...] each, for feature matching.
    """

    score: Tensor
    features: list[Tensor]


def _weight_norm(module: M) -> M:
    """Split the weight of a convolution into direction and length, as in all the papers."""
    parametrizations.weight_norm(module)
    return module


def _convolution(
    channels_in: int,
    channels_out: int,
    kernel_size: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
) -> nn.Conv2d:
    """Weight-normalized convolution over (time, frequency), padded by half an odd kernel."""
    padding = tuple((k - 1) * d // 2 for k, d in zip(kernel_size, dilation, strict=True))
    return _weight_norm(
        nn.Conv2d(channels_in, channels_out, kernel_size, stride, (padding[0], padding[1]), dilation)
    )


def _run(layers: Iterable[nn.Module], x: Tensor, slope: float) -> list[Tensor]:
    """Outputs of each layer, with a leaky ReLU after every one."""
    outputs = itertools.accumulate(layers, lambda y, layer: F.leaky_relu(layer(y), slope), initial=x)
    return list(outputs)[1:]


def _check_windows(window_lengths: tuple[int, ...]) -> None:
    if not window_lengths or any(length < 16 or length % 4 for length in window_lengths):
        raise ConfigError(
            f"window_lengths are {list(window_lengths)}; give one or more multiples of 4 from 16 on"
        )


class Spectrum(nn.Module):
    """Complex STFT as two channels, real and imaginary: Hann windows of unit energy, hop of a quarter."""

    window: Tensor

    def __init__(self, window_length: int) -> None:
        super().__init__()
        self.window_length = window_length
        window = torch.hann_window(window_length)
        # With unit energy, the spectrum of white noise has the power of the noise at any length.
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)

    def forward(self, wav: Tensor) -> Tensor:
        """[B, 1, L] -> [B, 2, T, F]; what is shorter than a window is padded with zeros."""
        wav = wav[:, 0].float()
        wav = F.pad(wav, (0, max(0, self.window_length - wav.shape[-1])))
        with torch.autocast(wav.device.type, enabled=False):
            return spectrum(wav, self.window, self.window_length // 4)


@dataclass(frozen=True)
class STFTConfig:
    """EnCodec's multi-scale complex STFT discriminator.

    Attributes:
        window_lengths: lengths of the STFT windows in samples, one sub-discriminator for each; the hop is a
            quarter of the window.
        channels: width of every layer.
    """

    window_lengths: tuple[int, ...] = (2048, 1024, 512, 256, 128)
    channels: int = 32

    def __post_init__(self) -> None:
        """Check sizes.

        Raises:
            ConfigError: a window or a width is not possible.
        """
        _check_windows(self.window_lengths)
        check_least(channels=(self.channels, 1))


class STFTDiscriminator(nn.Module):
    """Judges the complex spectrum at one window length.

    Défossez et al. 2022, https://arxiv.org/abs/2210.13438, section 3.4.
    """

    KERNEL = (3, 9)  # (time, frequency); the paper says 3 x 8, the authors' code has 9
    DILATIONS = (1, 2, 4)
    SLOPE = 0.2

    def __init__(self, window_length: int, channels: int) -> None:
        super().__init__()
        self.spectrum = Spectrum(window_length)
        self.layers = nn.ModuleList(
            [
                _convolution(2, channels, self.KERNEL),
                *(_convolution(channels, channels, self.KERNEL, (1, 2), (d, 1)) for d in self.DILATIONS),
                _convolution(channels, channels, (3, 3)),
            ]
        )
        self.last = _convolution(channels, 1, (3, 3))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, T, F / 8] and features [B, C, T, F], then F / 2, F / 4, F / 8, F / 8."""
        features = _run(self.layers, self.spectrum(wav), self.SLOPE)
        return Judgment(self.last(features[-1]), features)


@dataclass(frozen=True)
class PeriodConfig:
    """The multi-period discriminator of HiFi-GAN and DAC.

    Attributes:
        periods: distances in samples between neighbors of a column, one sub-discriminator for each.
        channels: widths of the layers; all layers but the last divide the rate by 3.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    channels: tuple[int, ...] = (32, 128, 512, 1024, 1024)

    def __post_init__(self) -> None:
        """Check sizes.

        Raises:
            ConfigError: a period or a width is not possible.
        """
        if not self.periods or not self.channels or min(self.periods + self.channels) < 1:
            raise ConfigError("periods and channels must each hold one or more numbers of 1 or more")


class PeriodDiscriminator(nn.Module):
    """Judges samples that are a fixed period apart, so that structure that repeats forms columns.

    Kong et al. 2020, https://arxiv.org/abs/2010.05646, section 2.3.
    """

    SLOPE = 0.1

    def __init__(self, period: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.period = period
        pairs = list(zip((1, *channels), channels, strict=False))
        strides = [3] * (len(pairs) - 1) + [1]
        self.layers = nn.ModuleList(
            _convolution(*pair, (5, 1), (stride, 1)) for pair, stride in zip(pairs, strides, strict=True)
        )
        self.last = _convolution(channels[-1], 1, (3, 1))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, L / (period * 81), period] and features of falling length."""
        missing = -wav.shape[-1] % self.period
        # Mirrored as in the papers, unless there is too little to mirror.
        wav = F.pad(wav.float(), (0, missing), "reflect" if missing < wav.shape[-1] else "constant")
        features = _run(self.layers, wav.unflatten(-1, (-1, self.period)), self.SLOPE)
        return Judgment(self.last(features[-1]), features)


@dataclass(frozen=True)
class ScaleConfig:
    """The multi-scale waveform discriminator of MelGAN and SoundStream.

    Attributes:
        scales: number of sub-discriminators; each works at half the rate of the one before.
        channels: width of the first layer, a multiple of 4; each strided layer has four times as many.
        max_channels: largest width of a layer, a multiple of 4.
    """

    scales: int = 3
    channels: int = 16
    max_channels: int = 1024

    def __post_init__(self) -> None:
        """Check sizes.

        Raises:
            ConfigError: a number or a width is not possible.
        """
        check_least(scales=(self.scales, 1), channels=(self.channels, 4))
        check_least(max_channels=(self.max_channels, self.channels))
        if self.channels % 4 or self.max_channels % 4:
            raise ConfigError("channels and max_channels of kind scale must be multiples of 4")


class ScaleDiscriminator(nn.Module):
    """Judges the waveform after halving its rate `halvings` times.

    Kumar et al. 2019, https://arxiv.org/abs/1910.06711, section 2.2; Zeghidour et al. 2021,
    https://arxiv.org/abs/2107.03312, section III-D.
    """

    SLOPE = 0.2
    STRIDED_LAYERS = 4
    GROUP = 4  # input channels of a group, stride and growth of the channels in a strided layer
    SHORTEST = 16  # shorter audio is padded to so many samples, so that no scale is empty

    def __init__(self, halvings: int, channels: int, max_channels: int) -> None:
        super().__init__()
        self.halvings = halvings
        group = self.GROUP
        widths = [min(channels * group**layer, max_channels) for layer in range(self.STRIDED_LAYERS + 1)]
        strided = [
            nn.Conv1d(before, after, 41, group, 20, groups=max(1, before // group))
            for before, after in itertools.pairwise(widths)
        ]
        first, second_last = nn.Conv1d(1, channels, 15, 1, 7), nn.Conv1d(widths[-1], widths[-1], 5, 1, 2)
        self.layers = nn.ModuleList(_weight_norm(layer) for layer in (first, *strided, second_last))
        self.last = _weight_norm(nn.Conv1d(widths[-1], 1, 3, 1, 1))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, L / (256 * 2 ** halvings)] and features of falling length."""
        wav = F.pad(wav.float(), (0, max(0, self.SHORTEST - wav.shape[-1])))
        for _ in range(self.halvings):
            wav = F.avg_pool1d(wav, 4, 2, 1, count_include_pad=False)
        features = _run(self.layers, wav, self.SLOPE)
        return Judgment(self.last(features[-1]), features)


@dataclass(frozen=True)
class BandsConfig:
    """DAC's multi-band, multi-resolution complex STFT discriminator.

    Attributes:
        window_lengths: lengths of the STFT windows in samples, one sub-discriminator for each; the hop is a
            quarter of the window.
        bands: limits (low, high) of each band as shares of half the sample rate; each has its own layers.
        channels: width of every layer.
    """

    window_lengths: tuple[int, ...] = (2048, 1024, 512)
    bands: tuple[tuple[float, float], ...] = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
    channels: int = 32

    def __post_init__(self) -> None:
        """Check sizes.

        Raises:
            ConfigError: a window, a band or a width is not possible.
        """
        _check_windows(self.window_lengths)
        check_least(channels=(self.channels, 1))
        bins = min(self.window_lengths) // 2 + 1
        if not self.bands or not all(
            low >= 0 and high <= 1 and int(low * bins) < int(high * bins) for low, high in self.bands
        ):
            raise ConfigError(
                f"bands are {[list(band) for band in self.bands]}; give shares (low, high) from 0 to 1, each"
                f" with at least one of the {bins} frequencies of the shortest window"
            )


class BandsDiscriminator(nn.Module):
    """Judges the complex spectrum at one window length; every band has its own layers.

    Kumar et al. 2023, https://arxiv.org/abs/2306.06546, section 3.3.
    """

    KERNEL = (3, 9)  # (time, frequency)
    SLOPE = 0.1

    def __init__(self, window_length: int, bands: tuple[tuple[float, float], ...], channels: int) -> None:
        super().__init__()
        self.spectrum = Spectrum(window_length)
        bins = window_length // 2 + 1
        self.slices = [slice(int(low * bins), int(high * bins)) for low, high in bands]
        self.stacks = nn.ModuleList(self._layers(channels) for _ in bands)
        self.last = _convolution(channels, 1, (3, 3))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, T, F / 8], the bands side by side, and the features of all bands."""
        spectrum = self.spectrum(wav)
        features = [
            _run(stack.children(), spectrum[..., band], self.SLOPE)
            for stack, band in zip(self.stacks, self.slices, strict=True)
        ]
        score = self.last(torch.cat([band[-1] for band in features], dim=-1))
        return Judgment(score, [feature for band in features for feature in band])

    def _layers(self, channels: int) -> nn.ModuleList:
        strided = [_convolution(channels, channels, self.KERNEL, (1, 2)) for _ in range(3)]
        return nn.ModuleList(
            [_convolution(2, channels, self.KERNEL), *strided, _convolution(channels, channels, (3, 3))]
        )


@dataclass(frozen=True)
class LightConfig:
    """A multi-resolution STFT discriminator that is fast enough for training on CPUs.

    Attributes:
        window_lengths: lengths of the STFT windows in samples, one sub-discriminator for each; the hop is a
            quarter of the window.
        channels: width of the first layer; the others have twice as many.
        patch: number of neighboring frequencies that the first layer combines; only this layer works at the
            full resolution.
        exponent: power to which magnitudes are raised; phases stay; below 1, quiet parts count more.
    """

    window_lengths: tuple[int, ...] = (1024, 512, 256)
    channels: int = 32
    patch: int = 8
    exponent: float = 0.5

    def __post_init__(self) -> None:
        """Check sizes.

        Raises:
            ConfigError: a window, a width or the exponent is not possible.
        """
        _check_windows(self.window_lengths)
        check_least(channels=(self.channels, 1), patch=(self.patch, 1))
        if not 0 < self.exponent <= 1:
            raise ConfigError(f"exponent is {self.exponent}; give a number above 0, up to 1")


class LightDiscriminator(nn.Module):
    """Judges patches of the compressed complex spectrum at one window length.

    Built like EnCodec's, but the first layer takes patches of frequencies, so no layer works on every
    frequency of every frame, where EnCodec's and DAC's spend nearly all their time. Magnitudes are compressed
    as in speech enhancement, so that quiet consonants count beside loud vowels.
    """

    SLOPE = 0.2
    FLOOR = 1e-6  # power below which a value is no longer compressed: near 16-bit rounding noise

    def __init__(self, window_length: int, config: LightConfig) -> None:
        super().__init__()
        self.spectrum, self.exponent = Spectrum(window_length), config.exponent
        first, width, patch = config.channels, 2 * config.channels, config.patch
        # Patches overlap by half on each side, so every frequency is inside at least one of them.
        patches = nn.Conv2d(2, first, (3, 2 * patch), (1, patch), (1, patch // 2))
        self.layers = nn.ModuleList(
            [
                _weight_norm(patches),
                _convolution(first, width, (3, 3), (2, 2)),
                _convolution(width, width, (3, 3), (1, 2), (2, 1)),
                _convolution(width, width, (3, 3)),
            ]
        )
        self.last = _convolution(width, 1, (3, 3))

    def forward(self, wav: Tensor) -> Judgment:
        """[B, 1, L] -> score [B, 1, T / 2, F / (4 * patch)] and features."""
        spectrum = self.spectrum(wav)
        power = spectrum.square().sum(dim=1, keepdim=True) + self.FLOOR
        features = _run(self.layers, spectrum * power ** ((self.exponent - 1) / 2), self.SLOPE)
        return Judgment(self.last(features[-1]), features)


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Which discriminators judge, and their sizes.

    Attributes:
        kinds: kinds of discriminators, any of stft, period, scale, bands, light; empty for no adversarial
            training.
        normalize: whether the mean of each example is removed and its peak scaled to 0.8, as in DAC.
        stft: sizes of the discriminators of kind stft.
        period: sizes of the discriminators of kind period.
        scale: sizes of the discriminators of kind scale.
        bands: sizes of the discriminators of kind bands.
        light: sizes of the discriminators of kind light.
    """

    kinds: tuple[str, ...] = ()
    normalize: bool = False
    stft: STFTConfig = field(default_factory=STFTConfig)
    period: PeriodConfig = field(default_factory=PeriodConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    bands: BandsConfig = field(default_factory=BandsConfig)
    light: LightConfig = field(default_factory=LightConfig)

    def __post_init__(self) -> None:
        """Check names.

        Raises:
            ConfigError: a kind is unknown; the message gives the nearest one.
        """
        check_names("kinds", self.kinds, DISCRIMINATORS)


DISCRIMINATORS: dict[str, Callable[[DiscriminatorConfig], list[nn.Module]]] = {
    "stft": lambda c: [STFTDiscriminator(length, c.stft.channels) for length in c.stft.window_lengths],
    "period": lambda c: [PeriodDiscriminator(period, c.period.channels) for period in c.period.periods],
    "scale": lambda c: [
        ScaleDiscriminator(scale, c.scale.channels, c.scale.max_channels) for scale in range(c.scale.scales)
    ],
    "bands": lambda c: [
        BandsDiscriminator(length, c.bands.bands, c.bands.channels) for length in c.bands.window_lengths
    ],
    "light": lambda c: [LightDiscriminator(length, c.light) for length in c.light.window_lengths],
}
"""The sub-discriminators of each kind, from a DiscriminatorConfig."""


class Discriminators(nn.Module):
    """All sub-discriminators of a recipe, side by side."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part for kind in config.kinds for part in DISCRIMINATORS[kind](config))
        self.normalize = config.normalize

    def forward(self, wav: Tensor) -> list[Judgment]:
        """Wav [B, 1, L] -> one judgment from each sub-discriminator; the gradient reaches `wav`."""
        if self.normalize:
            wav = wav - wav.mean(dim=-1, keepdim=True)
            wav = wav * (PEAK / wav.abs().amax(dim=-1, keepdim=True).clamp(min=LEAST_PEAK))
        return [part(wav) for part in self.parts]
