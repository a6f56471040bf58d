"""Measures a whole recording: length, level, silence, clipping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiocodec import audio
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

FRAME_SECONDS = 0.02
BLOCK_FRAMES = 1000
ACTIVE_RANGE_DB = 30.0
"""An active frame is at most this far below the loudest frames (95th percentile)..."""
FLOOR_DB = -70.0
"""...and above this level, below which everything is silence."""
CLIPPED_AT = 0.99
CLIPPED_RUN = 3
"""Least number of samples in a row at full scale that counts as clipped; one or two may be peaks."""


@dataclass(frozen=True)
class Measured:
    """Measurements of a recording; levels are in dB of full scale, shares from 0 to 1.

    Attributes:
        seconds: length of the decoded samples, which may differ from the header.
        sample_rate: in Hz.
        channels: number of channels.
        level_db: RMS of the active frames of 20 ms, channels averaged; pauses do not count.
        peak_db: of the loudest sample of any channel.
        clipped: share of samples in runs at full scale.
        silence: share of frames that are not active.
    """

    seconds: float
    sample_rate: int
    channels: int
    level_db: float
    peak_db: float
    clipped: float
    silence: float


def measure(path: Path) -> Measured:
    """Read a whole sound file in bounded memory, and measure it.

    Raises:
        InputError: it cannot be read, nothing in it is above FLOOR_DB, or its channels cancel each other.
    """
    about = audio.info(path)
    frame = max(1, round(FRAME_SECONDS * about.sample_rate))
    powers: list[NDArray[np.float64]] = []
    length, peak, clipped = 0, 0.0, 0

    def counted() -> Iterator[NDArray[np.float32]]:
        nonlocal length, peak, clipped
        for block in audio.blocks(path, BLOCK_FRAMES * frame):
            length += block.shape[1]
            peak = max(peak, float(np.abs(block).max()))
            clipped += _count_clipped(block)
            yield block

    powers.extend(_frame_powers(block[0], frame) for block in audio.mono(counted(), path))
    active = active_frames(np.concatenate(powers))
    if not active.any():
        raise InputError(f"{path}: silent, nothing in it is above {FLOOR_DB:g} dB of full scale")
    return Measured(
        seconds=length / about.sample_rate,
        sample_rate=about.sample_rate,
        channels=about.channels,
        level_db=10 * math.log10(np.concatenate(powers)[active].mean()),
        peak_db=20 * math.log10(peak),
        clipped=clipped / (length * about.channels),
        silence=1 - float(active.mean()),
    )


def active_frames(powers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mask [T] of the frames that are no pause, from their mean squares [T]."""
    loudest = float(np.quantile(powers, 0.95))
    return powers > max(loudest * 10 ** (-ACTIVE_RANGE_DB / 10), 10 ** (FLOOR_DB / 10))


def _frame_powers(wav: NDArray[np.float32], frame: int) -> NDArray[np.float64]:
    """Mean squares [T] of frames; the last frame may be shorter."""
    starts = np.arange(0, len(wav), frame)
    sums = np.add.reduceat(np.square(wav, dtype=np.float64), starts)
    return sums / np.diff(np.append(starts, len(wav)))


def _count_clipped(block: NDArray[np.float32]) -> int:
    """Samples of [C, L] that lie in runs of at least CLIPPED_RUN at full scale."""
    full = np.abs(block) >= CLIPPED_AT
    if not full.any():
        return 0
    edges = np.diff(np.pad(full, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    runs = np.nonzero(edges.reshape(-1) == -1)[0] - np.nonzero(edges.reshape(-1) == 1)[0]
    return int(runs[runs >= CLIPPED_RUN].sum())
