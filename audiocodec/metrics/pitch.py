"""Fundamental frequency: whether decoded speech keeps its pitch, and its voiced and unvoiced sounds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError
from audiocodec.metrics.base import Wav, at_rate, check_pair

_RATE = 16000
PITCH_WINDOW, PITCH_HOP = 1024, 256
"""Samples at 16 kHz of a frame and from one to the next: 64 and 16 ms."""
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 500.0
_RESOLUTION = 0.1  # semitones between candidates: the tracker's own error is up to half of it, 5 cents
_FEWEST_FRAMES = 5

Track = tuple[NDArray[np.float64], NDArray[np.bool_]]


def f0_error(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Root mean square error of the fundamental frequency in cents, over frames voiced in both; 0 is best.

    Tracked from 60 to 500 Hz every 16 ms by probabilistic YIN (Mauch and Dixon 2014,
    https://doi.org/10.1109/ICASSP.2014.6853678); other rates are resampled to 16 kHz.

    Raises:
        MetricError: as `check_pair`, under 64 ms, or fewer than 5 frames are voiced in both.
    """
    (pitch, voiced), (decoded, decoded_voiced) = _tracks(reference, estimate, sample_rate)
    both = voiced & decoded_voiced
    if both.sum() < _FEWEST_FRAMES:
        raise MetricError(
            f"{both.sum()} frames are voiced in reference and estimate, of {voiced.sum()} voiced in the"
            f" reference; F0 needs {_FEWEST_FRAMES}"
        )
    cents = 1200 * np.log2(decoded[both] / pitch[both])
    return float(np.sqrt((cents**2).mean()))


def voicing_error(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Fraction of frames that are voiced in one signal and not in the other, 0 to 1; 0 is best.

    Frames as in `f0_error`.

    Raises:
        MetricError: as `check_pair`, or under 64 ms.
    """
    (_, voiced), (_, decoded_voiced) = _tracks(reference, estimate, sample_rate)
    return float((voiced != decoded_voiced).mean())


def _tracks(reference: Wav, estimate: Wav, sample_rate: int) -> tuple[Track, Track]:
    pair = check_pair(reference, estimate, sample_rate, min_seconds=PITCH_WINDOW / _RATE)
    target, decoded = at_rate(pair, sample_rate, _RATE)
    return pitch_track(target), pitch_track(decoded)


def pitch_track(wav: NDArray[np.float64]) -> Track:
    """F0 in Hz and voicing, both [T], of sound [L] at 16 kHz; frame t starts at sample t * PITCH_HOP."""
    return _track(wav.astype(np.float32).tobytes())


@lru_cache(maxsize=4)  # several scores ask for the same track, and one reference is scored at every bitrate
def _track(samples: bytes) -> Track:
    """`pitch_track` of float32 samples."""
    import librosa  # slow to import

    pitch, voiced, _ = librosa.pyin(
        np.frombuffer(samples, np.float32).astype(np.float64),
        fmin=_LOWEST_HZ,
        fmax=_HIGHEST_HZ,
        sr=_RATE,
        frame_length=PITCH_WINDOW,
        hop_length=PITCH_HOP,
        resolution=_RESOLUTION,
        center=False,
    )
    return pitch, voiced
