"""Adding one sound to another at a signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from audiocodec.audio.levels import active_level, rms_db
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiocodec.corpus import Recording
    from audiocodec.effects.sources import Sources

SILENCE_DB = -60.0
"""An excerpt below this level is drawn again: made louder, it would be the rounding of its file."""
MAX_TRIES = 50


def add_at_snr(
    wav: NDArray[np.float32], noise: NDArray[np.floating], snr_db: float, sample_rate: int
) -> NDArray[np.floating]:
    """Add noise [L] to wav [L], `snr_db` below the level of its speech.

    Speech is measured while it is active (ITU-T P.56), so that pauses change nothing; noise over its whole
    length, as a sound level meter would.

    Raises:
        InputError: the speech is silent, or the noise is.
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
    rng: np.random.Generator, clips: Sequence[Recording], sources: Sources, sample_rate: int, length: int
) -> tuple[str, int]:
    """Draw name and first sample of an excerpt [length] that is not silent.

    Raises:
        InputError: MAX_TRIES excerpts were silent, or no recording can be read.
    """
    for _ in range(MAX_TRIES):
        clip, samples = sources.draw(rng, clips, sample_rate)
        start = int(rng.integers(max(1, len(samples) - length + 1)))
        if rms_db(sources.excerpt(clip.kind, clip.name, sample_rate, start, length)) >= SILENCE_DB:
            return clip.name, start
    raise InputError(
        f"{MAX_TRIES} excerpts of {len(clips)} {clips[0].kind} recordings were all below {SILENCE_DB:g} dB,"
        f" such as {clips[0].path}; remove recordings that are mostly silent"
    )
