"""Reading sound files in bounded memory: libsndfile knows WAV, FLAC, Ogg, Opus, MP3, AIFF and more."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiocodec.audio.samples import MAX_CHANNELS, check_sample_rate, check_samples
from audiocodec.errors import InputError, SampleRateError

_READ_LENGTH = 1 << 18  # samples read at once inside `read`, so that the check for NaN needs no second array


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file says of itself; `length` counts samples of one channel."""

    sample_rate: int
    channels: int
    length: int
    subtype: str
    format: str

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.length / self.sample_rate


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """Describe a sound file by its header.

    Raises:
        InputError: the file is missing, no sound file, empty, or outside what is supported.
    """
    with _open(Path(path)) as file:
        return _describe(Path(path), file)


def read(
    path: str | os.PathLike[str], start: int = 0, length: int | None = None
) -> tuple[NDArray[np.float32], int]:
    """Read `length` samples from sample `start` on, or all: samples [C, L] and the sample rate in Hz.

    Raises:
        InputError: as `info` and `check_samples`; or the part lies outside the file.
    """
    path = Path(path)
    with _open(path) as file:
        found = _describe(path, file)
        stop = found.length if length is None else start + length
        if not 0 <= start < stop <= found.length:
            raise InputError(
                f"{path}: samples {start} to {stop} asked for, the file has 0 to {found.length}; ask for less"
            )
        if start:
            file.seek(start)
        parts = list(_read_blocks(path, file, found, start, stop, _READ_LENGTH))
    return np.concatenate(parts, axis=1), found.sample_rate


def blocks(path: str | os.PathLike[str], block_length: int) -> Iterator[NDArray[np.float32]]:
    """Read a file from start to end in blocks [C, <= block_length]; only one block is in memory.

    Raises:
        InputError: at once as `info`; while reading when a block is damaged or fails `check_samples`.
    """
    if block_length < 1:
        raise InputError(f"block length {block_length} is not positive; give at least 1 sample")
    info(path)
    return _iterate(Path(path), block_length)


def _iterate(path: Path, block_length: int) -> Iterator[NDArray[np.float32]]:
    with _open(path) as file:
        found = _describe(path, file)
        yield from _read_blocks(path, file, found, 0, found.length, block_length)


def _read_blocks(
    path: Path, file: soundfile.SoundFile, found: AudioInfo, start: int, stop: int, block_length: int
) -> Iterator[NDArray[np.float32]]:
    position = start
    while position < stop:
        try:
            frames = file.read(min(block_length, stop - position), dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise _damaged(path, position, found) from error
        if not len(frames):
            if found.format in ("MP3", "MPEG"):  # its header only estimates the length
                return
            raise _damaged(path, position, found)
        wav = np.ascontiguousarray(frames.T, dtype=np.float32)
        try:
            check_samples(wav, found.sample_rate, position)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        yield wav
        position += wav.shape[1]


def _damaged(path: Path, position: int, found: AudioInfo) -> InputError:
    return InputError(
        f"{path}: damaged after {position / found.sample_rate:.3f} s of {found.seconds:.3f} s;"
        " get a whole copy, or repair it with another program"
    )


@contextmanager
def _open(path: Path) -> Generator[soundfile.SoundFile]:
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file; check the name")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a sound file in it")
    if not path.is_file():
        raise InputError(f"{path}: is no regular file; copy the sound into a file, or pipe it in as '-'")
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty (0 bytes); get a whole copy")
    try:
        file = soundfile.SoundFile(os.fspath(path))
    except (
        soundfile.SoundFileError,
        RuntimeError,
        TypeError,
        OSError,
    ) as error:  # TypeError: headerless .raw
        if not os.access(path, os.R_OK):
            raise InputError(f"{path}: may not be read; change its permissions") from error
        raise InputError(
            f"{path}: not a sound file that can be read ({_reason(error)}); convert it to WAV or FLAC"
        ) from error
    with file:
        yield file


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).strip().rstrip(".")


def _describe(path: Path, file: soundfile.SoundFile) -> AudioInfo:
    found = AudioInfo(file.samplerate, file.channels, file.frames, file.subtype, file.format)
    if found.length < 1:
        raise InputError(f"{path}: contains no samples; record or export it again")
    if found.channels > MAX_CHANNELS:
        raise InputError(
            f"{path}: {found.channels} channels, at most {MAX_CHANNELS} are read; split the file"
        )
    try:
        check_sample_rate(found.sample_rate)
    except SampleRateError as error:
        raise SampleRateError(f"{path}: {error}") from error
    return found
