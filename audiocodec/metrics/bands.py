"""What becomes of the bands above 1 kHz: their level, their harmonics, and a buzz at the codec's frame rate.

Scores that average over all frequencies, or that compare envelopes, hardly see any of this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError
from audiocodec.metrics.base import Wav, at_rate, check_pair
from audiocodec.metrics.pitch import PITCH_HOP, PITCH_WINDOW, pitch_track

FRAME_RATE = 50.0
"""Of most codecs of speech, in Hz."""
_RATE = 16000
_LOCK_BANDS = {"1-2 kHz": (1000, 2000), "2-4 kHz": (2000, 4000), "4-7 kHz": (4000, 7000)}
_EDGE_HZ = 100.0  # of a band, inside of it
_EMPTY = 1e-8  # -80 dB of all there is: what a resampler leaves of a band that was never there
_LOWEST_DB = -100.0
_CORRELATED = 400  # samples, 25 ms
_LAGS = 1 + np.linspace(
    -0.02, 0.02, 25
)  # harmonics at 4 kHz need the lag more precisely than a tracker has it
_FEWEST_FRAMES = 5
_ACTIVE = 1e-3  # of the loudest moment's power, -30 dB
_SILENCE = 1e-5  # added to envelopes: what lies under it does not count
_SEGMENT_FRAMES = 10  # so lines are ten bins apart, and neighbors do not reach into each other
_FEWEST_SEGMENTS = 8  # each overlapping three others: half a second at 50 Hz
_LINES = 8


def level_1_2khz(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Level of the estimate from 1 to 2 kHz against the reference's, over the whole, in dB; 0 is best.

    Other rates are resampled to 16 kHz. The lowest value is -100 dB.

    Raises:
        MetricError: as `check_pair`, or the reference has nothing in the band.
    """
    return _level(reference, estimate, sample_rate, 1000, 2000)


def level_2_4khz(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Level from 2 to 4 kHz, as `level_1_2khz`."""
    return _level(reference, estimate, sample_rate, 2000, 4000)


def level_4_7khz(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Level from 4 to 7 kHz, as `level_1_2khz`."""
    return _level(reference, estimate, sample_rate, 4000, 7000)


def harmonicity_2_4khz(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """How well the estimate repeats from 2 to 4 kHz after one period of the reference's pitch; up to 1.

    The mean over frames in which the reference is voiced (as `f0_error` finds them) of the normalized
    correlation of 25 ms with what follows a period later, at the lag within 2 % of that period that fits
    best. Natural speech has about 0.35, noise, as the best of such lags is taken, about 0.12. Other rates
    are resampled to 16 kHz.

    Raises:
        MetricError: as `check_pair`, under 64 ms, or fewer than 5 frames are voiced.
    """
    return _harmonicity(reference, estimate, sample_rate, 2000, 4000)


def harmonicity_4_7khz(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Harmonics from 4 to 7 kHz, as `harmonicity_2_4khz`; natural speech has about 0.28."""
    return _harmonicity(reference, estimate, sample_rate, 4000, 7000)


def frame_lock(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """The worst of `frame_lock_by_band` at 50 Hz, in dB: 0 is natural, from about 3 on it is a buzz.

    Raises:
        MetricError: as `check_pair`, or in no band there is enough sound to tell: half a second without a
            change between active and quiet.
    """
    return max(frame_lock_by_band(reference, estimate, sample_rate).values())


def frame_lock_by_band(
    reference: Wav, estimate: Wav, sample_rate: int, frame_rate: float = FRAME_RATE
) -> dict[str, float]:
    """How far the envelope of each band repeats at multiples of a frame rate in Hz, in dB; 0 is natural.

    A decoder that lays one pattern of phases into every frame makes the envelope of each band go up and down
    with the frames. Its spectrum, over stretches of ten frames, then has lines at the frame rate and its
    multiples: their power against the median at 0.2 to 0.4 of a frame rate beside them, mean in dB of eight.
    Speech itself has none. Other rates are resampled to 16 kHz.

    Returns:
        "1-2 kHz active", "1-2 kHz quiet", and so on for 2 to 4 and 4 to 7 kHz: where the reference is active
        (within 30 dB of its loudest moment) and where it is quiet. What is too short to tell is left out.

    Raises:
        MetricError: as `check_pair`, all is too short, or the frame rate has no eight lines below 1 kHz.
    """
    if not 0 < frame_rate <= 125:
        raise MetricError(f"frame rate {frame_rate:g} Hz: give one above 0 and up to 125 Hz")
    target, decoded = at_rate(check_pair(reference, estimate, sample_rate), sample_rate, _RATE)
    power = _smoothed(target**2, 2.5 * _RATE / frame_rate)
    active = power > power.max() * _ACTIVE
    lines_by_band: dict[str, float] = {}
    for band, (low, high) in _LOCK_BANDS.items():
        envelope = np.abs(_band(decoded, low, high))
        change = envelope / (_smoothed(envelope, 5 * _RATE / frame_rate) + _SILENCE) - 1
        for name, where in (("active", active), ("quiet", ~active)):
            lines = _lines_db(change, where, frame_rate)
            if lines is not None:
                lines_by_band[f"{band} {name}"] = lines
    if not lines_by_band:
        raise MetricError("too short or too restless to tell a frame rate; score a longer file")
    return lines_by_band


def _lines_db(change: NDArray[np.float64], where: NDArray[np.bool_], frame_rate: float) -> float | None:
    """Height of the lines in the spectrum of an envelope [L] over segments that lie in `where` [L]."""
    length = round(_SEGMENT_FRAMES * _RATE / frame_rate)
    inside = np.r_[0, where.cumsum()]
    starts = [
        at
        for at in range(0, len(change) - length + 1, length // 4)
        if inside[at + length] - inside[at] > 0.9 * length
    ]
    if len(starts) < _FEWEST_SEGMENTS:
        return None
    window = np.hanning(length)
    power = np.sum([np.abs(np.fft.rfft(change[at : at + length] * window)) ** 2 for at in starts], axis=0)
    heights: list[float] = []
    for line in _SEGMENT_FRAMES * np.arange(1, _LINES + 1):
        around = np.median(power[line + np.array([-4, -3, -2, 2, 3, 4])])
        if not around:
            return None
        heights.append(10 * np.log10(max(power[line] / around, 1e-10)))
    return float(np.mean(heights))


def _level(reference: Wav, estimate: Wav, sample_rate: int, low: float, high: float) -> float:
    pair = at_rate(check_pair(reference, estimate, sample_rate), sample_rate, _RATE)
    before, after = (float((np.abs(_band(wav, low, high)) ** 2).sum()) for wav in pair)
    if before < _EMPTY * float((pair[0] ** 2).sum()):
        raise MetricError(f"the reference has nothing from {low:g} to {high:g} Hz")
    return max(_LOWEST_DB, 10 * float(np.log10(max(after / before, 1e-30))))


def _harmonicity(reference: Wav, estimate: Wav, sample_rate: int, low: float, high: float) -> float:
    pair = check_pair(reference, estimate, sample_rate, min_seconds=PITCH_WINDOW / _RATE)
    target, decoded = at_rate(pair, sample_rate, _RATE)
    pitch, voiced = pitch_track(target)
    band = _band(decoded, low, high)
    peaks: list[float] = []
    for frame in np.flatnonzero(voiced):
        lags = _RATE / pitch[frame] * _LAGS
        start = round(frame * PITCH_HOP + (PITCH_WINDOW - _CORRELATED - lags[-1]) / 2)
        correlations = _correlations(band, start, lags, (low + high) / 2)
        if correlations is not None:
            peaks.append(float(correlations.max()))
    if len(peaks) < _FEWEST_FRAMES:
        raise MetricError(
            f"{len(peaks)} frames are voiced in the reference; harmonicity needs {_FEWEST_FRAMES}"
        )
    return float(np.mean(peaks))


def _correlations(
    band: NDArray[np.complex128], start: int, lags: NDArray[np.float64], center_hz: float
) -> NDArray[np.float64] | None:
    """Normalized correlation of an analytic band [L] from `start` on at lags in samples, whole or not.

    None where it has nothing. A part of a sample turns the phase at the center of the band, which is near
    enough for half a sample.
    """
    whole = np.round(lags).astype(int)
    here = band[start : start + _CORRELATED]
    there = np.stack([band[start + lag : start + lag + _CORRELATED] for lag in whole])
    power = (np.abs(here) ** 2).sum() * (np.abs(there) ** 2).sum(axis=1)
    if not power.all():
        return None
    turned = np.exp(2j * np.pi * center_hz * (lags - whole) / _RATE)
    return (there @ here.conj() * turned).real / np.sqrt(power)


def _band(wav: NDArray[np.float64], low: float, high: float) -> NDArray[np.complex128]:
    """The analytic signal [L] of a band in Hz: its real part is the band, its magnitude the envelope."""
    from scipy import fft

    length = fft.next_fast_len(len(wav) + _RATE // 10)  # the pause keeps the end from the start
    frequencies = fft.fftfreq(length, 1 / _RATE)
    inside = np.clip(np.minimum(frequencies - low, high - frequencies) / _EDGE_HZ, 0, 1)
    spectrum = fft.fft(wav, length) * 2 * np.sin(np.pi / 2 * inside) ** 2
    return np.asarray(fft.ifft(spectrum))[: len(wav)]


def _smoothed(values: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Mean [L] over a Hann window of so many samples."""
    from scipy.signal import fftconvolve

    window = np.hanning(2 * round(length / 2) + 1)
    return np.maximum(fftconvolve(values, window / window.sum(), "same"), 0)
