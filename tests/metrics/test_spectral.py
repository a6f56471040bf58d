import librosa
import numpy as np
import pytest
import scipy.signal

from audiocodec.metrics import (
    log_spectral_distance,
    mel_distance,
    multi_resolution_mel_distance,
    multi_resolution_stft_distance,
)

RATE = 16000
ALL = [mel_distance, log_spectral_distance, multi_resolution_mel_distance, multi_resolution_stft_distance]


@pytest.mark.parametrize("metric", ALL)
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
    assert multi_resolution_mel_distance(noise, noise * 0.5, RATE) == pytest.approx(np.log10(2), rel=1e-6)
    convergence_and_log = 0.5 + np.log(2)
    distance = multi_resolution_stft_distance(noise, noise * 0.5, RATE)
    assert distance == pytest.approx(convergence_and_log, abs=1e-3)


def test_mel_distance_step_by_step(speech):
    def log_mel(wav):
        bands = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=80)
        window = scipy.signal.get_window("hann", 1024)
        starts = range(0, len(wav) - 1023, 256)
        spectrum = np.stack([np.abs(np.fft.fft(wav[i : i + 1024] * window))[:513] for i in starts], axis=1)
        return np.log10(np.maximum(bands @ spectrum, 1e-5))

    expected = np.abs(log_mel(speech[0]) - log_mel(speech[1])).mean()
    assert mel_distance(*speech, RATE) == pytest.approx(expected, abs=1e-6)


def test_stft_distance_against_scipy(speech):
    def magnitudes(wav, window):
        options = {"window": "hann", "noverlap": window * 4 // 5, "boundary": None, "padded": False}
        return np.abs(scipy.signal.stft(wav.astype(float), RATE, nperseg=window, **options)[2])

    expected = []
    for window in (160, 400, 800):
        target, heard = (magnitudes(wav, window) for wav in speech)
        convergence = np.sqrt(((target - heard) ** 2).sum() / (target**2).sum())
        target, heard = (np.maximum(x, target.max() * 1e-4) for x in (target, heard))
        expected.append(convergence + np.abs(np.log(target) - np.log(heard)).mean())
    assert multi_resolution_stft_distance(*speech, RATE) == pytest.approx(np.mean(expected), abs=1e-6)


def test_multi_resolution_mel_distance_holds_the_single_one(speech):
    # Five resolutions agree roughly: none is dominated by empty bands or by the floor.
    assert multi_resolution_mel_distance(*speech, RATE) == pytest.approx(
        mel_distance(*speech, RATE), rel=0.15
    )


@pytest.mark.parametrize("rate", [8000, 44100])
def test_other_rates(rate, speech):
    assert 0 < mel_distance(*speech, rate) < 2
    assert 0 < log_spectral_distance(*speech, rate) < 40
    assert 0 < multi_resolution_mel_distance(*speech, rate) < 2  # an empty band would be a warning, an error
    assert 0 < multi_resolution_stft_distance(*speech, rate) < 4


def test_silence_against_sound_is_far_but_finite(speech):
    assert 1 < mel_distance(np.zeros_like(speech[0]), speech[0], RATE) < 5
    assert 10 < log_spectral_distance(speech[0], np.zeros_like(speech[0]), RATE) <= 80
