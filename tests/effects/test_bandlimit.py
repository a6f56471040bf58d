import numpy as np
import pytest
from scipy.signal import butter, freqs

from audiocodec.effects import Sources, build_effect

RATE = 16000


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
