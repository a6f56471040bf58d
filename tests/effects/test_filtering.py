import numpy as np

from audiocodec.effects.filtering import filter_zero_phase


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
