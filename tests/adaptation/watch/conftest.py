"""A baseline of the tiny model, and sound like it and unlike it."""

import numpy as np
import pytest

from audiocodec.adaptation.drift import make_baseline


@pytest.fixture(scope="package")
def baseline(codec, voice):
    wavs = [(voice(8.0, seed=seed), 16000) for seed in range(6)]
    held_out = [(voice(3.0, seed=seed), 16000) for seed in range(6, 36)]  # chance needs many voices
    rng = np.random.default_rng(0)
    return make_baseline(codec, wavs, held_out, rng=rng, null_seconds=(2.0,), null_windows=100)


@pytest.fixture(scope="package")
def noisy(voice):
    def make(seconds, seed=0, level=0.05):
        wav = voice(seconds, seed=seed)
        return (wav + level * np.random.default_rng(seed).standard_normal(wav.shape)).astype(np.float32)

    return make
