"""Sound and spectrograms inside a page, as data URIs."""

from __future__ import annotations

import base64
import io
import math
from functools import cache

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiocodec.errors import require
from audiocodec.report.page import PACKAGES

Wav = NDArray[np.float32]

RANGE_DB = 70.0
"""From the loudest to what is drawn as silence."""
WIDTH, HEIGHT = 420, 132
WINDOW_SECONDS = 0.032
SHADES = 64


def sound_uri(wav: Wav, sample_rate: int) -> str:
    """Wav [L] as FLAC, 16 bits: every browser plays it, and it is lossless."""
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


def loudest(wavs: list[Wav], sample_rate: int) -> float:
    """Level in dB that the loudest of several sounds reaches now and then."""
    return max((float(np.quantile(level_db(wav, sample_rate), 0.999)) for wav in wavs), default=-math.inf)


def spectrogram_uri(wav: Wav, sample_rate: int, loudest_db: float) -> str:
    """The picture of `spectrogram_png` as a data URI."""
    return _uri("image/png", spectrogram_png(wav, sample_rate, loudest_db))


def spectrogram_png(wav: Wav, sample_rate: int, loudest_db: float) -> bytes:
    """Spectrogram of wav [L] as PNG, low frequencies at the bottom; `loudest_db` is the brightest color."""
    image = require("PIL.Image", "a spectrogram", PACKAGES)
    share = np.clip((level_db(wav, sample_rate)[::-1] - loudest_db) / RANGE_DB + 1, 0, 1)
    rows = np.linspace(0, len(share) - 1, HEIGHT).round().astype(int)
    picture = image.fromarray((share[rows] * (SHADES - 1)).astype(np.uint8))
    picture.putpalette([value for color in shades() for value in color])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, bits=6)
    return buffer.getvalue()


@cache
def shades() -> list[tuple[int, int, int]]:
    """Colors from silence to the loudest, each lighter than the one before."""
    magma = require("matplotlib", "a spectrogram", PACKAGES).colormaps["magma"]
    return [
        (int(red), int(green), int(blue))
        for red, green, blue, _ in magma(np.linspace(0, 1, SHADES), bytes=True)
    ]


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
