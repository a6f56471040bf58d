"""Another microphone: a smooth curve over frequency, as phones, headsets and table microphones have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.interpolate import PchipInterpolator

from audiocodec.effects.base import Drawn, Effect, Range, check_range, draw_range
from audiocodec.effects.filtering import filter_zero_phase

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources

ANCHORS_HZ = tuple(50.0 * 2 ** (0.75 * step) for step in range(13))
"""From 50 Hz to 25.6 kHz, three quarters of an octave apart: the same at every sample rate."""
SPEECH_BAND_HZ = (300.0, 4000.0)
"""The curve is 0 dB on average over the anchors in it, so that the level stays about as it was."""


@dataclass(frozen=True)
class Microphone(Effect):
    """Multiplies the spectrum by a smooth curve: a random walk over the octaves, without delay.

    Attributes:
        spread_db: range of the standard deviation of one step of the walk; 2 dB is a fair headset, 4 dB a
            poor one.
    """

    kind: Literal["microphone"] = field(default="microphone", kw_only=True)
    spread_db: Range = (1.0, 4.0)

    def _check(self) -> None:
        check_range("spread_db", self.spread_db, 0.0, 12.0)

    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw `gains_db` at ANCHORS_HZ."""
        spread = draw_range(rng, self.spread_db)
        walk = np.cumsum(rng.standard_normal(len(ANCHORS_HZ))) * spread
        low, high = SPEECH_BAND_HZ
        inside = [low <= hz <= high for hz in ANCHORS_HZ]
        return {"gains_db": [float(gain) for gain in walk - walk[inside].mean()]}

    def _apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.floating]:
        # Monotonic between anchors: no gain beyond those that were drawn.
        curve = PchipInterpolator(np.log2(ANCHORS_HZ), drawn["gains_db"])
        dense = np.linspace(np.log2(ANCHORS_HZ[0]), np.log2(ANCHORS_HZ[-1]), 512)
        dense_db = curve(dense)

        def gains(hz: NDArray[np.float64]) -> NDArray[np.float64]:
            octaves = np.log2(np.maximum(hz, ANCHORS_HZ[0]))  # flat below the lowest anchor
            return 10 ** (np.interp(octaves, dense, dense_db) / 20)

        return filter_zero_phase(wav, sample_rate, gains)
