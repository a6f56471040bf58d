import librosa
import numpy as np
import pytest
import scipy.signal

from audiocodec.metrics import log_spectral_distance, mel_distance

RATE = 16000


@pytest.mark.parametrize("metric", [mel_distance, log_spectral_distance])
def test_zero_for_the_same_and_more_for_more_noise(metric, speech):
    clean, noisy = speech
    distances = [metric(clean, clean + k * (noisy - clean), RATE) for k in (0.0, 0.1, 1.0, 3.0)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[1] > 0.01


def test_a_change_of_level_is_its_decibels():
    noise = np.random.default_rng(0).standard_normal(RATE) * 0.3
    assert log_spectral_distance(noise, noise * 0.5, RATE) == pytest.approx(20 * np.log10(2), abs=1e-3)
    assert mel_distance(noise, noise * 0.5, RATE) == pytest.approx(np.log10(2), rel=1e-6)


def test_mel_distance_step_by_step(speech):
    def log_mel(wav):
        bands = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=80)
        window = scipy.signal.get_window("hann", 1024)
        starts = range(0, len(wav) - 1023, 256)
        spectrum = np.stack([np.abs(np.fft.fft(wav[i : i + 1024] * window))[:513] for i in starts], axis=1)
        return np.log10(np.maximum(bands @ spectrum, 1e-5))

    expected = np.abs(log_mel(speech[0]) - log_mel(speech[1])).mean()
    assert mel_distance(*speech, RATE) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rate", [8000, 44100])
def test_other_rates(rate, speech):
    assert 0 < mel_distance(*speech, rate) < 2
    assert 0 < log_spectral_distance(*speech, rate) < 40


def test_silence_against_sound_is_far_but_finite(speech):
    assert 1 < mel_distance(np.zeros_like(speech[0]), speech[0], RATE) < 5
    assert 10 < log_spectral_distance(speech[0], np.zeros_like(speech[0]), RATE) <= 80
