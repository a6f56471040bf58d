import numpy as np
import pytest

from audiocodec.audio import mono
from audiocodec.errors import InputError


@pytest.fixture
def wav():
    return (np.random.default_rng(0).standard_normal((1, 1000)) * 0.1).astype(np.float32)


def mixed(wav, length=100):
    parts = [wav[:, start : start + length] for start in range(0, wav.shape[1], length)]
    return np.concatenate(list(mono(parts, "a.wav")), axis=1)


def test_the_mean_of_the_channels(wav):
    np.testing.assert_array_equal(mixed(wav), wav)
    np.testing.assert_allclose(mixed(np.concatenate([wav, 0 * wav])), wav / 2, atol=1e-7)
    np.testing.assert_array_equal(mixed(0 * wav), 0 * wav)


@pytest.mark.parametrize("step", [0.0, 2**-15])
def test_channels_that_cancel_each_other_are_not_silence(wav, step):
    """Exactly, or but for the last bit."""
    dither = (step * np.random.default_rng(1).integers(-1, 2, wav.shape)).astype(np.float32)
    with pytest.raises(InputError, match=r"a\.wav: its channels cancel each other .*; invert one"):
        mixed(np.concatenate([wav, dither - wav]))


def test_a_part_may_cancel(wav):
    both = np.concatenate([wav, np.where(np.arange(1000) < 900, -wav, wav)])
    assert mixed(both).shape == (1, 1000)
