import numpy as np
import pytest

from audiocodec.evaluation.peers.alignment import correlations, find_delay, shift

SOUND = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1


def delayed(wav, delay):
    return np.pad(wav, (delay, 0)) if delay >= 0 else wav[-delay:]


@pytest.mark.parametrize("delay", [-80, 0, 1, 95, 399])
def test_a_known_delay_is_found_and_undone(delay):
    late = delayed(SOUND, delay)
    assert find_delay(SOUND, late, 0, 400) == delay
    back = shift(late, delay)
    common = slice(80, 7000)
    np.testing.assert_array_equal(back[common], SOUND[common])


def test_correlations_by_hand():
    a, b = np.array([1.0, 2.0, 0.0], np.float32), np.array([0.0, 1.0, 2.0], np.float32)
    delays, values = correlations(a, b, 1)
    np.testing.assert_array_equal(delays, [-1, 0, 1])
    np.testing.assert_allclose(values, [0.0 * 1 + 0, 2 / 5, 1.0], atol=1e-6)


def test_the_expected_delay_stays_unless_another_is_clearly_better():
    tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000).astype(np.float32)  # 80 samples of period
    assert find_delay(tone, delayed(tone, 95), 95, 400) == 95  # 15 and 175 correlate as well
    noise = np.random.default_rng(1).standard_normal(8000).astype(np.float32)
    assert find_delay(SOUND, noise, 95, 400) == 95  # nothing fits
    assert find_delay(SOUND, delayed(SOUND, 300), 95, 400) == 300


def test_silence_has_the_expected_delay():
    assert find_delay(SOUND, np.zeros(8000, np.float32), 95, 400) == 95
