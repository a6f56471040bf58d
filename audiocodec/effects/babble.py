"""Other people talking behind the speaker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from audiocodec.audio.levels import rms_db
from audiocodec.effects.base import Drawn, Effect, Range, check_range, draw_range
from audiocodec.effects.mixing import add_at_snr, draw_excerpt
from audiocodec.errors import ConfigError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.corpus import Recording
    from audiocodec.effects.sources import Sources

MAX_TALKERS = 100


@dataclass(frozen=True)
class Babble(Effect):
    """Adds the sum of talkers, each as loud as the others, at a drawn SNR over active speech.

    Talkers are different speakers while there are enough of them, and never the speaker of the recording
    where that one is known. Two or three can be followed, from about six it is babble (S. Simpson and
    M. Cooke, Consonant identification in N-talker babble is a nonmonotonic function of N, JASA 118, 2005).

    Attributes:
        snr_db: range of the SNR in dB, of the sum of all talkers.
        talkers: numbers of talkers to draw from.
        types: patterns of types of speech to draw from; none: all.
    """

    kind: Literal["babble"] = field(default="babble", kw_only=True)
    snr_db: Range = (0.0, 20.0)
    talkers: tuple[int, ...] = (2, 6, 20)
    types: tuple[str, ...] = ()

    def _check(self) -> None:
        check_range("snr_db", self.snr_db, -40.0, 100.0)
        if not self.talkers or not all(1 <= count <= MAX_TALKERS for count in self.talkers):
            raise ConfigError(f"talkers {list(self.talkers)}: give numbers from 1 to {MAX_TALKERS}")

    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw `snr_db` and, in `talkers`, the name and the first sample of each talker's excerpt.

        Raises:
            InputError: there is no speech of anybody else.
        """
        snr_db = draw_range(rng, self.snr_db)
        count = self.talkers[int(rng.integers(len(self.talkers)))]
        speakers = _by_speaker(sources.find("speech", self.types), speaker)
        if not speakers:
            raise InputError(
                f"no speech of anybody but {speaker} among the sources; babble needs other speakers: add some"
            )
        names = list(speakers)
        order = np.concatenate([rng.permutation(len(names)) for _ in range(-(-count // len(names)))])
        excerpts = [
            draw_excerpt(rng, speakers[names[int(at)]], sources, sample_rate, length) for at in order[:count]
        ]
        return {"snr_db": snr_db, "talkers": [list(excerpt) for excerpt in excerpts]}

    def _apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.floating]:
        babble = np.zeros(len(wav), np.float32)
        for name, start in drawn["talkers"]:
            talker = sources.excerpt("speech", name, sample_rate, start, len(wav))
            babble += talker * np.float32(10 ** (-rms_db(talker) / 20))
        return add_at_snr(wav, babble, drawn["snr_db"], sample_rate)


def _by_speaker(clips: list[Recording], speaker: str | None) -> dict[str, list[Recording]]:
    """Recordings of each speaker but `speaker`; one whose speaker is not known stands for itself."""
    found: dict[str, list[Recording]] = {}
    for clip in clips:
        if not speaker or clip.speaker != speaker:
            found.setdefault(clip.speaker or f"file {clip.name}", []).append(clip)
    return found
