"""Another level: what a quiet talker, a far microphone or another sound card make of the same speech."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from audiocodec.effects.base import Drawn, Effect, Range, check_range, draw_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources


@dataclass(frozen=True)
class Gain(Effect):
    """Multiplies by one factor; a clean reference gets the same, a level is nothing to remove.

    Attributes:
        gain_db: range of the gain in dB.
    """

    kind: Literal["gain"] = field(default="gain", kw_only=True)
    gain_db: Range = (-10.0, 10.0)

    def _check(self) -> None:
        check_range("gain_db", self.gain_db, -100.0, 40.0)

    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw `gain_db`."""
        return {"gain_db": draw_range(rng, self.gain_db)}

    def reference(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.float32]:
        """The clean signal at the new level."""
        return wav * np.float32(10 ** (drawn["gain_db"] / 20))

    def _apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.floating]:
        return wav * np.float32(10 ** (drawn["gain_db"] / 20))
