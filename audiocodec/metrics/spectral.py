"""Scores on short-time spectra."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audiocodec.metrics.base import Wav, check_pair

_MEL_SCALE = (0.064, 80)  # seconds of a window, number of bands
_MEL_SCALES = ((0.008, 10), (0.016, 20), (0.032, 40), (0.064, 80), (0.128, 160))
_MEL_FLOOR = 1e-5  # of a band, as DAC has it
_STFT_SECONDS = (0.010, 0.025, 0.050)
_LSD_SECONDS = 0.064
_DYNAMIC_RANGE_DB = 80.0


def mel_distance(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Mean absolute difference of log10 mel spectra (80 bands, 64 ms windows, hop a quarter of that).

    The mel distance of DAC (Kumar et al. 2023, https://arxiv.org/abs/2306.06546) at one scale; 0 is best.

    Raises:
        MetricError: as `check_pair`; a window must fit. Silence is compared like any other sound.
    """
    return _mel_distance(reference, estimate, sample_rate, *_MEL_SCALE)


def multi_resolution_mel_distance(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """`mel_distance`, mean over windows of 8, 16, 32, 64, 128 ms with 10, 20, 40, 80, 160 bands; 0 is best.

    The idea of DAC's multi-scale mel loss, with windows in time, so that all sample rates are treated alike
    and no band is empty.

    Raises:
        MetricError: as `check_pair`; the longest window must fit.
    """
    check_pair(reference, estimate, sample_rate, _MEL_SCALES[-1][0], silence_allowed=True)
    return float(np.mean([_mel_distance(reference, estimate, sample_rate, *scale) for scale in _MEL_SCALES]))


def multi_resolution_stft_distance(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Spectral convergence plus mean absolute log difference, averaged over three resolutions; 0 is best.

    Yamamoto et al. 2020 (Parallel WaveGAN), equations 4 to 6, https://arxiv.org/abs/1910.11480: windows of
    10, 25 and 50 ms with a hop of a fifth, natural logarithms; floored as `log_spectral_distance`.

    Raises:
        MetricError: as `check_pair`; the longest window must fit, the reference must not be silent.
    """
    check_pair(reference, reference, sample_rate)
    check_pair(reference, estimate, sample_rate, _STFT_SECONDS[-1], silence_allowed=True)
    return float(np.mean([_stft_distance(reference, estimate, sample_rate, s) for s in _STFT_SECONDS]))


def log_spectral_distance(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Root mean square difference of log spectra over frequency, averaged over time, in dB; 0 is best.

    Gray and Markel 1976, "Distance measures for speech processing"; magnitudes are floored 80 dB below the
    loudest of the reference, so that what lies under any noise does not count.

    Raises:
        MetricError: as `check_pair`; a window must fit, the reference must not be silent.
    """
    check_pair(reference, reference, sample_rate)
    target, decoded = _floored(*_magnitudes(reference, estimate, sample_rate, _LSD_SECONDS))
    decibels = 20 * np.log10(target) - 20 * np.log10(decoded)
    return float(np.sqrt((decibels**2).mean(axis=0)).mean())


def _mel_distance(
    reference: Wav, estimate: Wav, sample_rate: int, window_seconds: float, num_bands: int
) -> float:
    target, decoded = _magnitudes(reference, estimate, sample_rate, window_seconds)
    bands = _mel_bands(sample_rate, 2 * (target.shape[0] - 1), num_bands)
    logs = [np.log10(np.maximum(bands @ spectrum, _MEL_FLOOR)) for spectrum in (target, decoded)]
    return float(np.abs(logs[0] - logs[1]).mean())


@lru_cache(maxsize=16)
def _mel_bands(sample_rate: int, length: int, num_bands: int) -> NDArray[np.float32]:
    import librosa  # slow to import, and only this needs it

    return librosa.filters.mel(sr=sample_rate, n_fft=length, n_mels=num_bands)


def _stft_distance(reference: Wav, estimate: Wav, sample_rate: int, window_seconds: float) -> float:
    target, decoded = _magnitudes(reference, estimate, sample_rate, window_seconds, hops=5)
    convergence = np.linalg.norm(target - decoded) / np.linalg.norm(target)
    target, decoded = _floored(target, decoded)
    return float(convergence + np.abs(np.log(target / decoded)).mean())


def _floored(
    target: NDArray[np.float64], decoded: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    floor = target.max() * 10 ** (-_DYNAMIC_RANGE_DB / 20)
    return np.maximum(target, floor), np.maximum(decoded, floor)


def _magnitudes(
    reference: Wav, estimate: Wav, sample_rate: int, window_seconds: float, hops: int = 4
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Magnitude spectra [F, T] of both signals by Hann windows, `hops` of them in a window, not padded."""
    pair = check_pair(reference, estimate, sample_rate, min_seconds=window_seconds, silence_allowed=True)
    length = round(window_seconds * sample_rate) // (2 * hops) * 2 * hops
    window = np.hanning(length + 1)[:-1]
    spectra: list[NDArray[np.float64]] = []
    for wav in pair:
        frames = np.lib.stride_tricks.sliding_window_view(wav, length)[:: length // hops]
        spectra.append(np.abs(np.fft.rfft(frames * window)).T)
    return spectra[0], spectra[1]
