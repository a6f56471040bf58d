"""A baseline of the tiny model, drawn once."""

import numpy as np
import pytest

from audiocodec.adaptation.drift import make_baseline


@pytest.fixture(scope="package")
def baseline(codec, voice):
    wavs = [(voice(8.0, seed=seed), 16000) for seed in range(6)]
    held_out = [(voice(8.0, seed=seed), 16000) for seed in range(6, 12)]
    null = {"null_seconds": (2.0, 4.0), "null_windows": 50}
    return make_baseline(codec, wavs, held_out, rng=np.random.default_rng(0), facts={"files": 6}, **null)
