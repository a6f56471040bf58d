"""Overdriven input: a converter or an amplifier that reached its limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from audiocodec.effects.base import Drawn, Effect, Range, check_range, draw_range
from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources


@dataclass(frozen=True)
class Clipping(Effect):
    """Limits samples below their peak; the level stays what the limit leaves.

    Attributes:
        below_peak_db: range of how far the limit lies below the peak of the recording, in dB.
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
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw `below_peak_db` and `shape`."""
        below = draw_range(rng, self.below_peak_db)
        return {"below_peak_db": below, "shape": self.shapes[int(rng.integers(len(self.shapes)))]}

    def _apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.floating]:
        limit = np.float32(np.abs(wav).max() * 10 ** (-drawn["below_peak_db"] / 20))
        if limit == 0:
            return wav.copy()
        return np.clip(wav, -limit, limit) if drawn["shape"] == "hard" else limit * np.tanh(wav / limit)
