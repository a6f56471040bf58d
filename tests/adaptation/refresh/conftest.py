"""Sound of an environment that the tiny model does not know, and clean speech."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from audiocodec.adaptation.refresh.sound import SoundClip, SoundClips


def hum(wav: np.ndarray, seed: int) -> np.ndarray:
    """A machine beside the speaker: two strong tones that come and go."""
    rng = np.random.default_rng(seed)
    time = np.arange(len(wav)) / 16000
    loud = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * time + rng.uniform(0, 6))
    tones = np.sin(2 * np.pi * 2400 * time) + np.sin(2 * np.pi * 3300 * time + 1)
    return (wav + 0.08 * loud * tones + 0.01 * rng.standard_normal(len(wav))).astype(np.float32)


@pytest.fixture(scope="session")
def make_sound(voice) -> Callable[..., SoundClips]:
    """Makes `count` pieces of `seconds`; `changed` in the hall with the machine."""

    def make(count: int, seconds: float = 2.0, changed: bool = False, seed: int = 0) -> SoundClips:
        clips = []
        for number in range(count):
            wav = voice(seconds, seed=1000 * seed + number)[0]
            wav = hum(wav, seed + number) if changed else wav
            clips.append(SoundClip(f"{changed}{seed}-{number}", f"file{seed}-{number}", wav, 16000))
        return SoundClips(tuple(clips), {})

    return make
