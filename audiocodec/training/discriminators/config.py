"""What a recipe can say about discriminators; the defaults are the papers' sizes."""

from __future__ import annotations

from dataclasses import dataclass, field

from audiocodec.config import check_least
from audiocodec.errors import ConfigError

BANDS = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
"""Shares of the band up to half the sample rate, in DAC's multi-band discriminator."""


def _check_windows(window_lengths: tuple[int, ...]) -> None:
    if not window_lengths or any(length < 16 or length % 4 for length in window_lengths):
        raise ConfigError(
            f"window_lengths are {list(window_lengths)}; give one or more multiples of 4 from 16 on"
        )


@dataclass(frozen=True)
class STFTConfig:
    """EnCodec's multi-scale complex STFT discriminator.

    Attributes:
        window_lengths: samples of the STFT windows, one sub-discriminator each; the hop is a quarter.
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


@dataclass(frozen=True)
class PeriodConfig:
    """The multi-period discriminator of HiFi-GAN and DAC.

    Attributes:
        periods: samples between two neighbors of a column, one sub-discriminator each.
        channels: widths of the layers; all but the last divide the rate by 3.
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


@dataclass(frozen=True)
class ScaleConfig:
    """The multi-scale waveform discriminator of MelGAN and SoundStream.

    Attributes:
        scales: sub-discriminators, each at half the rate of the one before.
        channels: width of the first layer, a multiple of 4; each strided layer has four times as many.
        max_channels: the widest, a multiple of 4.
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


@dataclass(frozen=True)
class BandsConfig:
    """DAC's multi-band, multi-resolution complex STFT discriminator.

    Attributes:
        window_lengths: samples of the STFT windows, one sub-discriminator each; the hop is a quarter.
        bands: (low, high) as shares of half the sample rate, each with layers of its own.
        channels: width of every layer.
    """

    window_lengths: tuple[int, ...] = (2048, 1024, 512)
    bands: tuple[tuple[float, float], ...] = BANDS
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


@dataclass(frozen=True)
class LightConfig:
    """A multi-resolution STFT discriminator that ordinary processors can afford.

    Attributes:
        window_lengths: samples of the STFT windows, one sub-discriminator each; the hop is a quarter.
        channels: width of the first layer; the others have twice as many.
        patch: frequencies put together by the first layer, which alone works at the full resolution.
        exponent: power to which magnitudes are raised, phase kept; below 1 quiet parts count more.
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


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Which discriminators judge, and their sizes.

    Attributes:
        kinds: of stft, period, scale, bands, light; empty for no adversarial training.
        normalize: whether each example loses its mean and is scaled to a peak of 0.8 before, as in DAC.
        stft: sizes of kind stft.
        period: sizes of kind period.
        scale: sizes of kind scale.
        bands: sizes of kind bands.
        light: sizes of kind light.
    """

    kinds: tuple[str, ...] = ()
    normalize: bool = False
    stft: STFTConfig = field(default_factory=STFTConfig)
    period: PeriodConfig = field(default_factory=PeriodConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    bands: BandsConfig = field(default_factory=BandsConfig)
    light: LightConfig = field(default_factory=LightConfig)
