import numpy as np
import pytest
import soxr

from audiocodec.errors import MetricError
from audiocodec.metrics import f0_error, voicing_error

RATE = 16000
TIME = np.arange(RATE) / RATE


def voice(hz, seconds=1.0):
    """Harmonics that fall off, and a little breath."""
    time = np.arange(int(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 12) if hz * k < 7000)
    return 0.1 * tone + 1e-3 * np.random.default_rng(0).standard_normal(len(time))


@pytest.mark.parametrize(
    ("before", "after"), [(120.0, 120.0), (120.0, 123.0), (200.0, 190.0), (110.0, 220.0)]
)
def test_a_known_change_of_pitch(before, after):
    expected = abs(1200 * np.log2(after / before))
    assert f0_error(voice(before), voice(after), RATE) == pytest.approx(expected, abs=7)
    assert voicing_error(voice(before), voice(after), RATE) < 0.05


def test_other_rates_are_resampled():
    fast = [soxr.resample(voice(hz), RATE, 44100) for hz in (120.0, 123.0)]
    assert f0_error(*fast, 44100) == pytest.approx(1200 * np.log2(123 / 120), abs=7)


def test_voice_that_became_noise():
    reference = voice(140.0, 2.0)
    estimate = reference.copy()
    estimate[RATE:] = 0.1 * np.random.default_rng(1).standard_normal(RATE)
    assert voicing_error(reference, estimate, RATE) == pytest.approx(0.5, abs=0.08)
    assert f0_error(reference, estimate, RATE) < 7  # only where both are voiced


def test_real_speech_keeps_its_pitch_in_a_little_noise(speech):
    clean, noisy = speech
    quiet = clean + 0.1 * (noisy - clean)
    assert 0 < f0_error(clean, quiet, RATE) < 30
    assert 0 < voicing_error(clean, quiet, RATE) < voicing_error(clean, noisy, RATE) < 0.5


def test_too_little_voice():
    with pytest.raises(MetricError, match="3 frames are voiced in reference and estimate"):
        f0_error(voice(140.0, 0.1), voice(140.0, 0.1), RATE)
