from pathlib import Path

import numpy as np
import pytest
import soundfile

DATA = Path(__file__).parents[1] / "data"
RATE = 16000


@pytest.fixture(scope="session")
def speech():
    """Real speech and the same with noise: two arrays [L] at 16 kHz."""
    wav, rate = soundfile.read(DATA / "ls_2033_001.flac", dtype="float32")
    assert rate == RATE
    noise = np.random.default_rng(0).standard_normal(len(wav)).astype(np.float32)
    return wav, wav + 0.01 * noise
