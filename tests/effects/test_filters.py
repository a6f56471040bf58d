import numpy as np
import pytest
from scipy.signal import butter, freqs

from audiocodec.effects import Sources, build_effect
from audiocodec.effects.filters import ANCHORS_HZ, filter_zero_phase

RATE = 16000


def test_gains_are_those_of_the_function(speech):
    np.testing.assert_allclose(filter_zero_phase(speech, 16000, np.ones_like), speech, atol=1e-6)
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    out = filter_zero_phase(tone, 16000, lambda hz: 1 / (1 + (hz / 1000) ** 2))
    np.testing.assert_allclose(out[2000:-2000], 0.5 * tone[2000:-2000], atol=2e-3)


def test_the_end_does_not_ring_into_the_start():
    wav = np.zeros(8000, np.float32)
    wav[-1] = 1.0
    out = filter_zero_phase(wav, 16000, lambda hz: 1 / (1 + (hz / 500) ** 4))
    assert np.abs(out[:400]).max() < 1e-4 * np.abs(out).max()


def response(effect, rate=RATE):
    """Magnitude at each frequency, measured with an impulse in the middle."""
    impulse = np.zeros(rate, np.float32)
    impulse[rate // 2] = 1.0
    drawn = effect.draw(np.random.default_rng(0), rate, rate, Sources())
    out = effect.apply(impulse, rate, drawn, Sources())
    return np.fft.rfftfreq(rate, 1 / rate), np.abs(np.fft.rfft(out)), out


def test_it_has_the_magnitude_of_a_butterworth_filter():
    hz, magnitude, out = response(build_effect({"kind": "bandlimit", "high_hz": 3000, "order": 6}))
    expected = np.abs(freqs(*butter(6, 3000, analog=True), worN=hz)[1])
    np.testing.assert_allclose(magnitude, expected, atol=2e-3)
    assert np.argmax(np.abs(out)) == RATE // 2


def test_telephone():
    hz, magnitude, _ = response(build_effect({"kind": "bandlimit", "low_hz": 300, "high_hz": 3400}))
    level = dict(zip(hz.round().astype(int), 20 * np.log10(magnitude + 1e-9), strict=True))
    assert level[300] == pytest.approx(-3, abs=0.2)
    assert level[3400] == pytest.approx(-3, abs=0.2)
    assert level[1000] == pytest.approx(0, abs=0.05)
    assert max(level[100], level[6000]) < -45


def test_a_limit_above_half_the_rate_changes_nothing(speech):
    effect = build_effect({"kind": "bandlimit", "high_hz": 9000})
    drawn = effect.draw(np.random.default_rng(0), len(speech), RATE, Sources())
    np.testing.assert_allclose(effect.apply(speech, RATE, drawn, Sources()), speech, atol=1e-6)


def test_the_curve_goes_through_what_was_drawn():
    effect = build_effect({"kind": "microphone", "spread_db": 3})
    drawn = effect.draw(np.random.default_rng(2), 48000, 48000, Sources())
    impulse = np.zeros(48000, np.float32)
    impulse[48000 // 2] = 1.0
    out = effect.apply(impulse, 48000, drawn, Sources())
    assert np.argmax(np.abs(out)) == 48000 // 2
    level = 20 * np.log10(np.abs(np.fft.rfft(out)))
    for hz, gain in zip(ANCHORS_HZ, drawn["gains_db"], strict=True):
        if 100 < hz < 48000 / 2:
            assert level[round(hz)] == pytest.approx(gain, abs=0.15)
    below = level[1000:4000]
    low, high = (np.searchsorted(ANCHORS_HZ, hz) for hz in (1000, 4000))
    around = drawn["gains_db"][low - 1 : high + 1]
    assert min(around) - 0.1 < below.min() <= below.max() < max(around) + 0.1


def test_walk():
    effect, rng = build_effect({"kind": "microphone", "spread_db": 2}), np.random.default_rng(0)
    curves = np.array([effect.draw(rng, 1, 48000, Sources())["gains_db"] for _ in range(500)])
    assert np.std(np.diff(curves)) == pytest.approx(2, abs=0.1)
    speech_band = [300 <= hz <= 4000 for hz in ANCHORS_HZ]
    np.testing.assert_allclose(curves[:, speech_band].mean(axis=1), 0, atol=1e-9)
