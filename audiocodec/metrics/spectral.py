"""Scores on short-time spectra."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiocodec.metrics.pair import check_pair

_WINDOW_SECONDS = 0.064
_NUM_BANDS = 80
_FLOOR = 1e-5  # of a mel band, as DAC has it
_DYNAMIC_RANGE_DB = 80.0


def mel_distance(reference: NDArray[np.floating], estimate: NDArray[np.floating], sample_rate: int) -> float:
    """Mean absolute difference of log10 mel spectra (80 bands, 64 ms windows, hop a quarter of that).

    The mel distance of DAC (Kumar et al. 2023, https://arxiv.org/abs/2306.06546) at one scale; 0 is best.

    Raises:
        MetricError: as `check_pair`; a window must fit. Silence is compared like any other sound.
    """
    import librosa  # slow to import, and only this needs it

    spectra = _magnitudes(reference, estimate, sample_rate)
    window = 2 * (spectra[0].shape[0] - 1)
    bands = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=_NUM_BANDS)
    logs = [np.log10(np.maximum(bands @ spectrum, _FLOOR)) for spectrum in spectra]
    return float(np.abs(logs[0] - logs[1]).mean())


def log_spectral_distance(
    reference: NDArray[np.floating], estimate: NDArray[np.floating], sample_rate: int
) -> float:
    """Root mean square difference of log spectra over frequency, averaged over time, in dB; 0 is best.

    Gray and Markel 1976, "Distance measures for speech processing"; magnitudes are floored 80 dB below the
    loudest of the reference, so that what lies under any noise does not count.

    Raises:
        MetricError: as `check_pair`; a window must fit, the reference must not be silent.
    """
    check_pair(reference, reference, sample_rate)
    spectra = _magnitudes(reference, estimate, sample_rate)
    floor = spectra[0].max() * 10 ** (-_DYNAMIC_RANGE_DB / 20)
    decibels = [20 * np.log10(np.maximum(spectrum, floor)) for spectrum in spectra]
    return float(np.sqrt(((decibels[0] - decibels[1]) ** 2).mean(axis=0)).mean())


def _magnitudes(
    reference: NDArray[np.floating], estimate: NDArray[np.floating], sample_rate: int
) -> list[NDArray[np.float64]]:
    """Magnitude spectra [F, T] of both signals by Hann windows, no padding, no scaling."""
    pair = check_pair(reference, estimate, sample_rate, min_seconds=_WINDOW_SECONDS, silence_allowed=True)
    length = round(_WINDOW_SECONDS * sample_rate) // 4 * 4
    window = np.hanning(length + 1)[:-1]
    spectra: list[NDArray[np.float64]] = []
    for wav in pair:
        frames = np.lib.stride_tricks.sliding_window_view(wav, length)[:: length // 4]
        spectra.append(np.abs(np.fft.rfft(frames * window)).T)
    return spectra
