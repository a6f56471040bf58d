"""Part of the band only: telephones, narrow microphones, recordings that were resampled once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from audiocodec.effects.base import Drawn, Effect, Range, check_range, draw_range
from audiocodec.effects.filtering import filter_zero_phase
from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources


@dataclass(frozen=True)
class BandLimit(Effect):
    """Keeps what lies between two frequencies; magnitudes of Butterworth filters, without their delay.

    A telephone is low_hz 300, high_hz 3400. A limit beyond half the sample rate changes nothing.

    Attributes:
        low_hz: range of the lower limit (-3 dB); None: down to 0 Hz.
        high_hz: range of the upper limit (-3 dB), drawn evenly over the octaves; None: all there is.
        order: of the filters: 6 dB an octave each.
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
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw `low_hz` and `high_hz`, each None where there is no such limit."""
        return {
            name: None if value is None else draw_range(rng, value, log=True)
            for name, value in (("low_hz", self.low_hz), ("high_hz", self.high_hz))
        }

    def _apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.floating]:
        low, high, slope = drawn["low_hz"], drawn["high_hz"], 2 * self.order

        def gains(hz: NDArray[np.float64]) -> NDArray[np.float64]:
            power = np.ones_like(hz)
            if low is not None:
                power /= 1 + (low / np.maximum(hz, 1e-3 * low)) ** slope
            if high is not None and high < sample_rate / 2:
                power /= 1 + (hz / high) ** slope
            return np.sqrt(power)

        return filter_zero_phase(wav, sample_rate, gains)
