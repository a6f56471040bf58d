"""Sound and spectrograms inside a page, as data URIs."""

from __future__ import annotations

import base64
import io
import math
from functools import cache
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiocodec.errors import require

Wav = NDArray[np.float32]

RANGE_DB = 70.0
"""From the loudest to what is drawn as silence."""
WIDTH, HEIGHT = 420, 132
WINDOW_SECONDS = 0.032
COLORS = ((3, 3, 18), (59, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191))
"""From silence to the loudest, evenly spaced."""


def sound_uri(wav: Wav, sample_rate: int) -> str:
    """Wav [L] as FLAC, 16 bits: every browser plays it, and it adds nothing to what is to be heard."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(wav, -1, 1), sample_rate, format="FLAC", subtype="PCM_16")
    return _uri("audio/flac", buffer.getvalue())


def level_db(wav: Wav, sample_rate: int) -> NDArray[np.float64]:
    """Power in dB [frequencies, WIDTH] of wav [L], from 0 Hz up to half the sample rate."""
    length = max(16, round(WINDOW_SECONDS * sample_rate))
    starts = np.linspace(-length / 2, len(wav) - length / 2, WIDTH).round().astype(int) + length
    padded = np.pad(wav.astype(np.float64), length)
    frames = np.stack([padded[start : start + length] for start in starts])
    power = np.abs(np.fft.rfft(frames * np.hanning(length), axis=1)) ** 2
    return 10 * np.log10(power.T + 1e-12)


def spectrogram_uri(wav: Wav, sample_rate: int, loudest_db: float) -> str:
    """The picture of `spectrogram_png` as a data URI."""
    return _uri("image/png", spectrogram_png(wav, sample_rate, loudest_db))


def spectrogram_png(wav: Wav, sample_rate: int, loudest_db: float) -> bytes:
    """Spectrogram of wav [L] as PNG, low frequencies at the bottom; `loudest_db` is the brightest color."""
    image = _pillow()
    share = np.clip((level_db(wav, sample_rate)[::-1] - loudest_db) / RANGE_DB + 1, 0, 1)
    rows = np.linspace(0, len(share) - 1, HEIGHT).round().astype(int)
    picture = image.fromarray((share[rows] * 63).astype(np.uint8))
    picture.putpalette(_palette())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, bits=6)
    return buffer.getvalue()


def busiest(wav: Wav, sample_rate: int, seconds: float) -> slice:
    """The stretch of at most so many seconds that has the most energy."""
    length = round(seconds * sample_rate)
    if len(wav) <= length:
        return slice(0, len(wav))
    energy = np.concatenate([[0.0], np.cumsum(wav.astype(np.float64) ** 2)])
    step = max(1, sample_rate // 10)
    starts = np.arange(0, len(wav) - length + 1, step)
    start = int(starts[np.argmax(energy[starts + length] - energy[starts])])
    return slice(start, start + length)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _pillow() -> Any:
    return require("PIL.Image", "a spectrogram", "'audiocodec[evaluate]'")


@cache
def _palette() -> list[int]:
    """64 colors from black over violet and orange to pale yellow, each lighter than the one before."""
    anchors = np.array(COLORS)
    places = np.linspace(0, len(anchors) - 1, 64)
    columns = [np.interp(places, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return [int(value) for value in np.stack(columns, axis=1).round().reshape(-1)]


def loudest(wavs: list[Wav], sample_rate: int) -> float:
    """Level in dB that is reached now and then in the loudest of several sounds."""
    return max((float(np.quantile(level_db(wav, sample_rate), 0.999)) for wav in wavs), default=-math.inf)
