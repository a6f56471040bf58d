"""Changes of the level: gain, and clipping of overdriven input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from audiocodec.effects.base import Effect, Floats, Params, Range, Samples, check_range, draw_one, draw_range
from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiocodec.effects.sources import Sources


@dataclass(frozen=True)
class Gain(Effect):
    """Multiplies by one factor; a clean target gets the same factor: a model does not have to remove it.

    Attributes:
        gain_db: range of the gain in dB.
    """

    kind: Literal["gain"] = field(default="gain", kw_only=True)
    gain_db: Range = (-10.0, 10.0)

    def _check(self) -> None:
        check_range("gain_db", self.gain_db, -100.0, 40.0)

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `gain_db`."""
        return {"gain_db": draw_range(rng, self.gain_db)}

    def reference(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Samples:
        """The clean signal at the new level."""
        return wav * np.float32(10 ** (params["gain_db"] / 20))

    def _apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Floats:
        return self.reference(wav, sample_rate, params, sources)


@dataclass(frozen=True)
class Clipping(Effect):
    """Limits samples to a level below their peak, as overdriven converters and amplifiers do.

    Attributes:
        below_peak_db: range of the distance of the limit from the peak of the recording, in dB.
        shapes: to draw from: "hard", a converter; "soft", limit * tanh(wav / limit), an amplifier.
    """

    kind: Literal["clipping"] = field(default="clipping", kw_only=True)
    below_peak_db: Range = (3.0, 15.0)
    shapes: tuple[Literal["hard", "soft"], ...] = ("hard",)

    def _check(self) -> None:
        check_range("below_peak_db", self.below_peak_db, 0.0, 60.0)
        if not self.shapes:
            raise ConfigError("shapes is empty; name hard, soft or both")

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `below_peak_db` and `shape`."""
        return {"below_peak_db": draw_range(rng, self.below_peak_db), "shape": draw_one(rng, self.shapes)}

    def _apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Floats:
        limit = np.float32(np.abs(wav).max() * 10 ** (-params["below_peak_db"] / 20))
        if limit == 0:
            return wav.copy()
        return np.clip(wav, -limit, limit) if params["shape"] == "hard" else limit * np.tanh(wav / limit)
