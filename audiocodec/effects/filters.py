"""Filters without delay: limits of the band, and the frequency response of another microphone."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from scipy import fft
from scipy.interpolate import PchipInterpolator

from audiocodec.effects.base import Effect, Floats, Params, Range, Samples, check_range, draw_range
from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources

    Hertz = NDArray[np.float64]

PADDING_SECONDS = 0.1
"""Silence appended before filtering, so that the filter does not ring from the end into the start."""
ANCHORS_HZ = tuple(50.0 * 2 ** (0.75 * step) for step in range(13))
"""From 50 Hz to 25.6 kHz, three quarters of an octave apart: the same at every sample rate."""
SPEECH_BAND_HZ = (300.0, 4000.0)
"""The mean gain of the anchors in this band is 0 dB, so that the level hardly changes."""


@dataclass(frozen=True)
class ZeroPhaseFilter(Effect):
    """Multiplies the spectrum by real gains."""

    @abstractmethod
    def _gains(self, params: Params, hz: Hertz, sample_rate: int) -> Hertz:
        """Gains [F] at frequencies [F]."""

    def _apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Floats:
        return filter_zero_phase(wav, sample_rate, lambda hz: self._gains(params, hz, sample_rate))


@dataclass(frozen=True)
class BandLimit(ZeroPhaseFilter):
    """Keeps the band between two frequencies; magnitudes of Butterworth filters, without their delay.

    A telephone is low_hz 300, high_hz 3400. A limit above half the sample rate changes nothing.

    Attributes:
        low_hz: range of the lower limit (-3 dB); None: no lower limit.
        high_hz: range of the upper limit (-3 dB), drawn uniformly in octaves; None: no upper limit.
        order: of the filters: each order adds 6 dB an octave.
    """

    kind: Literal["bandlimit"] = field(default="bandlimit", kw_only=True)
    low_hz: Range | None = None
    high_hz: Range | None = (2000.0, 8000.0)
    order: int = 10

    def _check(self) -> None:
        if self.low_hz is None and self.high_hz is None:
            raise ConfigError("low_hz and high_hz are both null; give one of them")
        for name, value in (("low_hz", self.low_hz), ("high_hz", self.high_hz)):
            if value is not None:
                check_range(name, value, 10.0, 100_000.0)
        check_range("order", self.order, 1, 40)

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `low_hz` and `high_hz`; each is None where there is no such limit."""
        return {
            name: None if value is None else draw_range(rng, value, log=True)
            for name, value in (("low_hz", self.low_hz), ("high_hz", self.high_hz))
        }

    def _gains(self, params: Params, hz: Hertz, sample_rate: int) -> Hertz:
        low, high, slope = params["low_hz"], params["high_hz"], 2 * self.order
        power = np.ones_like(hz)
        if low is not None:
            power /= 1 + (low / np.maximum(hz, 1e-3 * low)) ** slope
        if high is not None and high < sample_rate / 2:
            power /= 1 + (hz / high) ** slope
        return np.sqrt(power)


@dataclass(frozen=True)
class Microphone(ZeroPhaseFilter):
    """Multiplies the spectrum by a smooth curve, as of phones and headsets: a random walk over the octaves.

    Attributes:
        spread_db: range of the standard deviation of one step of the walk; 2 dB is a fair headset, 4 dB a
            poor one.
    """

    kind: Literal["microphone"] = field(default="microphone", kw_only=True)
    spread_db: Range = (1.0, 4.0)

    def _check(self) -> None:
        check_range("spread_db", self.spread_db, 0.0, 12.0)

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `gains_db` at ANCHORS_HZ."""
        spread = draw_range(rng, self.spread_db)
        walk = np.cumsum(rng.standard_normal(len(ANCHORS_HZ))) * spread
        low, high = SPEECH_BAND_HZ
        inside = [low <= hz <= high for hz in ANCHORS_HZ]
        return {"gains_db": [float(gain) for gain in walk - walk[inside].mean()]}

    def _gains(self, params: Params, hz: Hertz, sample_rate: int) -> Hertz:
        # Monotonic between anchors: no gain is outside the range of the drawn gains.
        curve = PchipInterpolator(np.log2(ANCHORS_HZ), params["gains_db"])
        dense = np.linspace(np.log2(ANCHORS_HZ[0]), np.log2(ANCHORS_HZ[-1]), 512)
        octaves = np.log2(np.maximum(hz, ANCHORS_HZ[0]))  # flat below the lowest anchor
        return 10 ** (np.interp(octaves, dense, curve(dense)) / 20)


def fast_size(length: int) -> int:
    """The next length, from `length` on, whose Fourier transform is fast."""
    return int(cast("int", fft.next_fast_len(length, real=True)))


def filter_zero_phase(wav: Samples, sample_rate: int, gains: Callable[[Hertz], Hertz]) -> Samples:
    """Multiply the spectrum of wav [L] by `gains` of the frequencies in Hz; nothing moves in time."""
    size = fast_size(len(wav) + round(PADDING_SECONDS * sample_rate))
    spectrum = np.asarray(fft.rfft(wav, size))
    response = gains(np.asarray(fft.rfftfreq(size, 1 / sample_rate), np.float64)).astype(np.float32)
    return np.asarray(fft.irfft(spectrum * response, size), np.float32)[: len(wav)]
