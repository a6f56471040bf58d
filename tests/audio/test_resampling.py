from itertools import product

import numpy as np
import pytest
import soxr

from audiocodec.audio import Resampler, resample
from audiocodec.errors import InputError, SampleRateError

PAIRS = [(8000, 16000), (11025, 16000), (44100, 16000), (16000, 44100), (192000, 16000), (16000, 16000)]


def noise(channels, length):
    return (np.random.default_rng(length).standard_normal((channels, length)) * 0.1).astype(np.float32)


def in_blocks(wav, in_rate, out_rate, size):
    resampler = Resampler(in_rate, out_rate, len(wav))
    parts = [resampler.push(wav[:, i : i + size]) for i in range(0, wav.shape[1], size)]
    return np.concatenate([*parts, resampler.flush()], axis=1)


def test_block_sizes_change_nothing(subtests):
    for rates, size in product(PAIRS, (1, 7, 160, 4096)):
        with subtests.test(f"{rates}, blocks of {size}"):
            wav = noise(2, 3001 if size == 1 else 20011)
            np.testing.assert_array_equal(in_blocks(wav, *rates, size), resample(wav, *rates))


def test_exact_length(subtests):
    for rates, length in product(PAIRS, (1, 2, 3, 100, 9973, 16000)):
        with subtests.test(f"{rates}, {length} samples"):
            in_rate, out_rate = rates
            assert resample(noise(1, length), *rates).shape == (1, -(-length * out_rate // in_rate))


def test_there_and_back_never_gets_shorter(subtests):
    for rates in PAIRS:
        with subtests.test(str(rates)):
            for length in (1, 441, 5001):
                there = resample(noise(1, length), *rates)
                assert resample(there, rates[1], rates[0]).shape[1] >= length


def test_samples_are_those_of_soxr_and_stay_in_time():
    wav = noise(1, 44100)
    ours = resample(wav, 44100, 16000)[0]
    reference = soxr.resample(wav[0], 44100, 16000, "VHQ")
    middle = slice(1000, 15000)
    np.testing.assert_allclose(ours[middle], reference[middle], atol=1e-6)
    tone = np.sin(2 * np.pi * 440 * np.arange(48000) / 48000).astype(np.float32)[None]
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.abs(resample(tone, 48000, 16000)[0] - expected)[1000:-1000].max() < 1e-4


def test_empty_stream_and_empty_blocks():
    resampler = Resampler(44100, 16000, 2)
    assert resampler.push(np.zeros((2, 0), np.float32)).shape == (2, 0)
    assert resampler.flush().shape == (2, 0)


def test_equal_rates_pass_through():
    wav = noise(3, 50)
    np.testing.assert_array_equal(resample(wav, 16000, 16000), wav)


def test_errors():
    with pytest.raises(SampleRateError, match="100 Hz"):
        Resampler(100, 16000, 1)
    with pytest.raises(InputError, match=r"expected \[2, L\]"):
        Resampler(44100, 16000, 2).push(np.zeros((1, 10), np.float32))
