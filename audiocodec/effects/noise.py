"""Noise behind the speech: recorded noise and music, synthetic noise, other talkers."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import fft

from audiocodec.audio.levels import active_level, rms_db
from audiocodec.effects.base import Effect, Floats, Params, Range, Samples, check_range, draw_one, draw_range
from audiocodec.effects.filters import fast_size
from audiocodec.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

    from audiocodec.corpus import Recording
    from audiocodec.effects.sources import Sources

SILENCE_DB = -60.0
"""An excerpt below this level is drawn again: amplified, it would be the rounding noise of its file."""
MAX_TRIES = 50
SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""Amplitudes fall with the frequency to this power: 0, 3 and 6 dB an octave."""
LOWEST_HZ = 20.0
"""Spectra are flat below, so that the power of pink and brown noise stays finite."""
MAX_TALKERS = 100


@dataclass(frozen=True)
class AddedNoise(Effect):
    """Adds a sound at a drawn SNR over active speech (see `add_at_snr`).

    Attributes:
        snr_db: range of the SNR in dB.
    """

    snr_db: Range = (0.0, 20.0)

    def _check(self) -> None:
        check_range("snr_db", self.snr_db, -40.0, 100.0)

    @abstractmethod
    def _noise(self, params: Params, length: int, sample_rate: int, sources: Sources) -> Samples:
        """What is added [length], at any level."""

    def _apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Floats:
        noise = self._noise(params, len(wav), sample_rate, sources)
        return add_at_snr(wav, noise, params["snr_db"], sample_rate)


@dataclass(frozen=True)
class Noise(AddedNoise):
    """Adds an excerpt of a recording at a drawn SNR over active speech (see `add_at_snr`).

    A type is drawn first, then a recording of it, then a place in it: all types are equally frequent, however
    many recordings they have. A recording shorter than the speech is looped with a cross-fade.

    Attributes:
        types: patterns of types to draw from; none: all types.
        names: patterns of names of recordings to draw from; none: all.
        pool: kind of the recordings to draw from.
    """

    kind: Literal["noise"] = field(default="noise", kw_only=True)
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    pool: Literal["noise", "music"] = "noise"

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `snr_db`, `type`, `name` and `start`, the first sample of the excerpt at this sample rate."""
        snr_db = draw_range(rng, self.snr_db)
        recordings = sources.draw_type(rng, self.pool, self.types, self.names)
        name, start = draw_excerpt(rng, recordings, sources, sample_rate, length)
        return {"snr_db": snr_db, "type": recordings[0].type, "name": name, "start": start}

    def _noise(self, params: Params, length: int, sample_rate: int, sources: Sources) -> Samples:
        return sources.excerpt(self.pool, params["name"], sample_rate, params["start"], length)


@dataclass(frozen=True)
class ColoredNoise(AddedNoise):
    """Adds synthetic noise at a drawn SNR over active speech (see `add_at_snr`).

    Gaussian noise shaped in the frequency domain, as in J. Timmer and M. König, On generating power law
    noise, Astronomy and Astrophysics 300, 1995.

    Attributes:
        colors: to draw from: white, pink, brown.
    """

    kind: Literal["colored_noise"] = field(default="colored_noise", kw_only=True)
    colors: tuple[Literal["white", "pink", "brown"], ...] = ("white", "pink", "brown")

    def _check(self) -> None:
        super()._check()
        if not self.colors:
            raise ConfigError(f"colors is empty; name one of {', '.join(SLOPES)}")

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `snr_db`, `color` and the `seed` of the noise."""
        snr_db, color = draw_range(rng, self.snr_db), draw_one(rng, self.colors)
        return {"snr_db": snr_db, "color": color, "seed": int(rng.integers(1 << 32))}

    def _noise(self, params: Params, length: int, sample_rate: int, sources: Sources) -> Samples:
        return colored_noise(params["color"], params["seed"], length, sample_rate)


@dataclass(frozen=True)
class Babble(AddedNoise):
    """Adds the sum of several talkers of equal level at a drawn SNR over active speech (see `add_at_snr`).

    Talkers are different speakers as long as there are enough, and never the speaker of the recording, if
    known. Listeners can follow two or three talkers; about six or more are babble (S. Simpson and
    M. Cooke, Consonant identification in N-talker babble is a nonmonotonic function of N, JASA 118, 2005).

    Attributes:
        talkers: numbers of talkers to draw from.
        types: patterns of types of speech to draw from; none: all.
    """

    kind: Literal["babble"] = field(default="babble", kw_only=True)
    talkers: tuple[int, ...] = (2, 6, 20)
    types: tuple[str, ...] = ()

    def _check(self) -> None:
        super()._check()
        if not self.talkers or not all(1 <= count <= MAX_TALKERS for count in self.talkers):
            raise ConfigError(f"talkers {list(self.talkers)}: give numbers from 1 to {MAX_TALKERS}")

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `snr_db` and, in `talkers`, the name and the first sample of each talker's excerpt.

        Raises:
            InputError: there is no speech of another speaker.
        """
        snr_db, count = draw_range(rng, self.snr_db), draw_one(rng, self.talkers)
        by_speaker: dict[str, list[Recording]] = {}
        for one in sources.find("speech", self.types):
            if not speaker or one.speaker != speaker:  # a recording of an unknown speaker is its own speaker
                by_speaker.setdefault(one.speaker or f"file {one.name}", []).append(one)
        if not by_speaker:
            raise InputError(
                f"the sources have no speech of speakers other than {speaker}; add some: babble needs them"
            )
        others = list(by_speaker.values())
        order = np.concatenate([rng.permutation(len(others)) for _ in range(-(-count // len(others)))])
        excerpts = [draw_excerpt(rng, others[int(n)], sources, sample_rate, length) for n in order[:count]]
        return {"snr_db": snr_db, "talkers": [list(excerpt) for excerpt in excerpts]}

    def _noise(self, params: Params, length: int, sample_rate: int, sources: Sources) -> Samples:
        babble = np.zeros(length, np.float32)
        for name, start in params["talkers"]:
            talker = sources.excerpt("speech", name, sample_rate, start, length)
            babble += talker * np.float32(10 ** (-rms_db(talker) / 20))
        return babble


def add_at_snr(wav: Samples, noise: Floats, snr_db: float, sample_rate: int) -> Floats:
    """Add noise [L] to wav [L], `snr_db` below the level of the speech.

    The level of the speech is measured while it is active (ITU-T P.56), so that pauses do not count; that of
    the noise over its whole length, as a sound level meter does.

    Raises:
        InputError: the speech or the noise is silent.
    """
    speech = active_level(wav, sample_rate)
    if speech.silent:
        raise InputError(
            f"the speech is silent over its {len(wav) / sample_rate:.2f} s, an SNR is not defined for it;"
            " give speech above -74 dB of full scale"
        )
    level = rms_db(noise)
    if not math.isfinite(level):
        raise InputError("the noise is silent here; draw another excerpt")
    return wav + noise * noise.dtype.type(10 ** ((speech.level_db - snr_db - level) / 20))


def draw_excerpt(
    rng: Generator, recordings: Sequence[Recording], sources: Sources, sample_rate: int, length: int
) -> tuple[str, int]:
    """Draw name and first sample of an excerpt [length] that is not silent.

    Raises:
        InputError: MAX_TRIES excerpts were silent, or no recording can be read.
    """
    for _ in range(MAX_TRIES):
        one, samples = sources.draw(rng, recordings, sample_rate)
        start = int(rng.integers(max(1, len(samples) - length + 1)))
        if rms_db(sources.excerpt(one.kind, one.name, sample_rate, start, length)) >= SILENCE_DB:
            return one.name, start
    raise InputError(
        f"{MAX_TRIES} excerpts of {len(recordings)} {recordings[0].kind} recordings were all below"
        f" {SILENCE_DB:g} dB, such as {recordings[0].path}; remove recordings that are mostly silent"
    )


def colored_noise(color: str, seed: int, length: int, sample_rate: int) -> Samples:
    """Noise [length] of a color, at no particular level."""
    noise = np.random.default_rng(seed).standard_normal(length, np.float32)
    if not SLOPES[color]:
        return noise
    size = fast_size(length)
    spectrum = np.asarray(fft.rfft(noise, size))
    frequencies = np.maximum(fft.rfftfreq(size, 1 / sample_rate), LOWEST_HZ)
    gains = (frequencies / LOWEST_HZ) ** -SLOPES[color]
    return np.asarray(fft.irfft(spectrum * gains.astype(np.float32), size), np.float32)[:length]
