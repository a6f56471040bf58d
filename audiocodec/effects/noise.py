"""Recorded noise behind the speech: streets, kitchens, rain, music, whatever the sources hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from audiocodec.effects.base import Drawn, Effect, Range, check_range, draw_range
from audiocodec.effects.mixing import add_at_snr, draw_excerpt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources


@dataclass(frozen=True)
class Noise(Effect):
    """Adds an excerpt of a recording at a drawn SNR over active speech (see `add_at_snr`).

    A type is drawn first, then a recording of it, then a place in it, so that a type with few recordings is
    heard as often as one with many. A recording shorter than the speech starts again, cross-faded.

    Attributes:
        snr_db: range of the SNR in dB.
        types: patterns of types to draw from; none: all types.
        names: patterns of names of recordings to draw from; none: all.
        pool: which recordings of the sources are meant.
    """

    kind: Literal["noise"] = field(default="noise", kw_only=True)
    snr_db: Range = (0.0, 20.0)
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    pool: Literal["noise", "music"] = "noise"

    def _check(self) -> None:
        check_range("snr_db", self.snr_db, -40.0, 100.0)

    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw `snr_db`, `type`, `name` and `start`, the first sample of the excerpt at this sample rate."""
        snr_db = draw_range(rng, self.snr_db)
        types = sorted({clip.type for clip in sources.find(self.pool, self.types, self.names)})
        chosen = types[int(rng.integers(len(types)))]
        clips = [clip for clip in sources.find(self.pool, (), self.names) if clip.type == chosen]
        name, start = draw_excerpt(rng, clips, sources, sample_rate, length)
        return {"snr_db": snr_db, "type": chosen, "name": name, "start": start}

    def _apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.floating]:
        noise = sources.excerpt(self.pool, drawn["name"], sample_rate, drawn["start"], len(wav))
        return add_at_snr(wav, noise, drawn["snr_db"], sample_rate)
