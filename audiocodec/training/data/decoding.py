"""From sound files to 16-bit samples at one rate, several files at a time, in the order of the files."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from audiocodec import audio
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiocodec.corpus.manifest import Recording

FULL_SCALE = 32767
BLOCK_LENGTH = 1 << 18
LONG_SECONDS = 600.0
"""Longer recordings are decoded when it is their turn, block by block: ahead of it they would fill memory."""
AHEAD = 4
"""Recordings a thread that wait, decoded, for their turn."""

T = TypeVar("T")
R = TypeVar("R")


def decode_all(
    recordings: Sequence[Recording], sample_rate: int, jobs: int
) -> Iterator[Iterator[NDArray[np.int16]]]:
    """Give the blocks [L] of each recording, mono at `sample_rate`, in order, whatever the number of `jobs`.

    Blocks raise InputError where a recording cannot be read. Threads are enough, as libsndfile and soxr leave
    the interpreter to others while they decode and resample.
    """
    results = in_order(lambda recording: _short(recording, sample_rate), recordings, jobs)
    for recording, short in zip(recordings, results, strict=True):
        yield decode(recording, sample_rate) if short is None else _replayed(short)


def in_order(work: Callable[[T], R], tasks: Iterable[T], jobs: int) -> Iterator[R]:
    """Give `work(task)` of every task in order; `jobs` threads run a bounded number of tasks ahead."""
    if jobs <= 1:
        yield from map(work, tasks)
        return
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="decode")
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) >= AHEAD * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def decode(recording: Recording, sample_rate: int) -> Iterator[NDArray[np.int16]]:
    """Mean of the channels of a recording at `sample_rate`, in blocks [L] of 16-bit samples.

    Raises:
        InputError: it cannot be read, or its channels cancel each other.
    """
    path = recording.path
    resampler = audio.Resampler(audio.info(path).sample_rate, sample_rate, 1)
    for block in audio.mono(_blocks(recording), path):
        yield to_int16(resampler.push(block)[0])
    yield to_int16(resampler.flush()[0])


def to_int16(wav: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples [L] in [-1, 1] as 16-bit integers; what is louder is clipped."""
    return (wav.clip(-1, 1) * FULL_SCALE).round().astype("<i2")


def to_float32(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """16-bit samples [L] in [-1, 1]."""
    return samples.astype(np.float32) / np.float32(FULL_SCALE)


def _blocks(recording: Recording) -> Iterator[NDArray[np.float32]]:
    """Blocks [C, L] of a recording, or of that part of its file which it is."""
    path = recording.path
    if recording.part is None:
        yield from audio.blocks(path, BLOCK_LENGTH)
        return
    found = audio.info(path)
    start, stop = (min(round(second * found.sample_rate), found.length) for second in recording.part)
    if start >= stop:
        raise InputError(
            f"{path}: seconds {recording.part[0]:g} to {recording.part[1]:g} are not in its"
            f" {found.seconds:g}; correct the manifest"
        )
    yield from audio.blocks(path, BLOCK_LENGTH, start, stop - start)


def _short(recording: Recording, sample_rate: int) -> list[NDArray[np.int16]] | InputError | None:
    """All blocks of a recording, or why it cannot be read; None for a long one."""
    try:
        if _seconds(recording.path, recording.part) > LONG_SECONDS:
            return None
        return list(decode(recording, sample_rate))
    except InputError as error:
        return error


def _seconds(path: Path, part: tuple[float, float] | None) -> float:
    return audio.info(path).seconds if part is None else part[1] - part[0]


def _replayed(short: list[NDArray[np.int16]] | InputError) -> Iterator[NDArray[np.int16]]:
    if isinstance(short, InputError):
        raise short
    yield from short
