import numpy as np
import pytest

from audiocodec.effects import Sources, build_effect
from audiocodec.effects.microphone import ANCHORS_HZ

RATE = 48000


def test_the_curve_goes_through_what_was_drawn():
    effect = build_effect({"kind": "microphone", "spread_db": 3})
    drawn = effect.draw(np.random.default_rng(2), RATE, RATE, Sources())
    impulse = np.zeros(RATE, np.float32)
    impulse[RATE // 2] = 1.0
    out = effect.apply(impulse, RATE, drawn, Sources())
    assert np.argmax(np.abs(out)) == RATE // 2
    level = 20 * np.log10(np.abs(np.fft.rfft(out)))
    for hz, gain in zip(ANCHORS_HZ, drawn["gains_db"], strict=True):
        if 100 < hz < RATE / 2:
            assert level[round(hz)] == pytest.approx(gain, abs=0.15)
    below = level[1000:4000]
    low, high = (np.searchsorted(ANCHORS_HZ, hz) for hz in (1000, 4000))
    around = drawn["gains_db"][low - 1 : high + 1]
    assert min(around) - 0.1 < below.min() <= below.max() < max(around) + 0.1


def test_walk():
    effect, rng = build_effect({"kind": "microphone", "spread_db": 2}), np.random.default_rng(0)
    curves = np.array([effect.draw(rng, 1, RATE, Sources())["gains_db"] for _ in range(500)])
    assert np.std(np.diff(curves)) == pytest.approx(2, abs=0.1)
    speech_band = [300 <= hz <= 4000 for hz in ANCHORS_HZ]
    np.testing.assert_allclose(curves[:, speech_band].mean(axis=1), 0, atol=1e-9)
