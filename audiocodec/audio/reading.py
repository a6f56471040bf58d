"""Reads sound files in bounded memory through libsndfile: WAV, FLAC, Ogg, Opus, MP3, AIFF and more."""

from __future__ import annotations

import io
import logging
import os
import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiocodec.audio.contents import Contents, PartFile, look, look_at, with_length
from audiocodec.audio.files import name_for_libsndfile
from audiocodec.audio.samples import MAX_CHANNELS, check_sample_rate, check_samples
from audiocodec.errors import InputError, SampleRateError

MPEG = ("MP3", "MPEG")
"""Formats that libsndfile reports for MPEG audio."""
_READ_LENGTH = 1 << 18  # samples read at once inside `read`, so that the check for NaN needs no second array
_STEP = 1 << 12  # samples read at once from libsndfile: the precision of positions of damage
_UNKNOWN_LENGTH = 1 << 62  # libsndfile's number for a FLAC file that came through a pipe is larger
_MEND_DAMAGE = "get a whole copy, or repair it with another program"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file holds; `length` counts samples of one channel.

    `problem` is a text that says that the file is cut off; the samples it has can be read.
    """

    sample_rate: int
    channels: int
    length: int
    subtype: str
    format: str
    problem: str = ""

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.length / self.sample_rate


def info(path: str | os.PathLike[str]) -> AudioInfo:
    """Facts about a sound file.

    Raises:
        InputError: the file is missing, no sound file, empty, or outside what is supported.
    """
    with _open(Path(path)) as sound:
        return _describe(Path(path), sound)


def read(
    path: str | os.PathLike[str], start: int = 0, length: int | None = None
) -> tuple[NDArray[np.float32], int]:
    """Read `length` samples from sample `start` on, or all: samples [C, L] and the sample rate in Hz.

    Raises:
        InputError: as `info` and `check_samples`; or the part lies outside the file.
    """
    path = Path(path)
    with _open(path) as sound:
        facts = _describe(path, sound)
        parts = list(_read_part(path, sound, facts, start, length, _READ_LENGTH))
    return np.concatenate(parts, axis=1), facts.sample_rate


def blocks(
    path: str | os.PathLike[str], block_length: int, start: int = 0, length: int | None = None
) -> Iterator[NDArray[np.float32]]:
    """Read what `read` reads in blocks [C, <= block_length]; only one block is in memory.

    Raises:
        InputError: at once as `info`; while reading as `read`, or when a block is damaged.
    """
    if block_length < 1:
        raise InputError(f"block length {block_length} is not positive; give at least 1 sample")
    info(path)
    return _iterate(Path(path), block_length, start, length)


def blocks_of_bytes(
    data: bytes, name: str, block_length: int
) -> tuple[AudioInfo, Iterator[NDArray[np.float32]]]:
    """As `info` and `blocks`, for a file called `name` that is in memory.

    Raises:
        InputError: as `info` and `blocks`.
    """
    with ExitStack() as stack:
        try:
            sound = _opened(look_at(data, Path(name)), Path(name), data, stack)
        except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
            raise InputError(f"{name}: not a sound file that can be read ({_reason(error)})") from error
        facts = _describe(Path(name), sound)
        keep = stack.pop_all()

    def iterate() -> Iterator[NDArray[np.float32]]:
        with keep:
            yield from _read_blocks(Path(name), sound, facts, 0, facts.length, block_length)

    return facts, iterate()


def _iterate(path: Path, block_length: int, start: int, length: int | None) -> Iterator[NDArray[np.float32]]:
    with _open(path) as sound:
        facts = _describe(path, sound)
        yield from _read_part(path, sound, facts, start, length, block_length)


def _read_part(
    path: Path, sound: _Sound, facts: AudioInfo, start: int, length: int | None, block_length: int
) -> Iterator[NDArray[np.float32]]:
    stop = facts.length if length is None else start + length
    if not 0 <= start < stop <= facts.length:
        raise InputError(
            f"{path}: samples {start} to {stop} asked for, the file has 0 to {facts.length}; ask for less"
        )
    if start:
        sound.seek(start)
    elif facts.problem:
        logger.warning("%s: %s", path, facts.problem)
    yield from _read_blocks(path, sound, facts, start, stop, block_length)


def _read_blocks(
    path: Path, sound: _Sound, facts: AudioInfo, start: int, stop: int, block_length: int
) -> Iterator[NDArray[np.float32]]:
    position = start
    while position < stop:
        try:
            frames = sound.read(min(block_length, stop - position))
        except (soundfile.SoundFileError, RuntimeError) as error:
            place = position + sound.sound
            raise _damaged(path, place, facts, min(_STEP, stop - place)) from error
        if not len(frames):
            if facts.format in MPEG and position > start:  # its last frames need what is missing
                if not facts.problem:
                    seconds = position / facts.sample_rate
                    there = f"{seconds:.3f} s could be decoded of {facts.seconds:.3f} s"
                    logger.warning("%s: %s", path, there)
                return
            raise _damaged(path, position, facts, 0)
        wav = np.ascontiguousarray(frames.T, dtype=np.float32)
        try:
            check_samples(wav, facts.sample_rate, position)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        yield wav
        position += wav.shape[1]


def _damaged(path: Path, position: int, facts: AudioInfo, length: int) -> InputError:
    """What was read before sample `position` is sound; one of the next `length` is not."""
    first, last = (sample / facts.sample_rate for sample in (position, position + length))
    where = f"between {first:.3f} and {last:.3f} s" if length else f"after {first:.3f} s"
    return InputError(f"{path}: damaged {where} of {facts.seconds:.3f} s; {_MEND_DAMAGE}")


class _File(soundfile.SoundFile):
    """Read from here to there: soundfile would seek after each block, which MP3 cannot do exactly."""

    def seekable(self) -> bool:
        """Not to soundfile; `seek` works."""
        return False


class _Sound:
    """The parts of a sound file, one after the other, as one."""

    def __init__(self, contents: Contents, source: Path | bytes, stack: ExitStack) -> None:
        """Open them; `stack` closes them."""
        self.contents = contents
        whole = name_for_libsndfile(source) if isinstance(source, Path) else io.BytesIO(source)
        parts: list[Any] = [
            stack.enter_context(PartFile(_binary(source), *part)) for part in contents.parts
        ] or [whole]
        with _quiet():
            self.files = [stack.enter_context(_File(part)) for part in parts]
        self.first, self._part = self.files[0], 0
        self.length = sum(file.frames for file in self.files)
        self.sound = 0

    @property
    def forms(self) -> set[tuple[int, int]]:
        """Sample rates and channels of the parts."""
        return {(file.samplerate, file.channels) for file in self.files}

    def seek(self, sample: int) -> None:
        """Move to a sample."""
        self._part = 0
        while self._part + 1 < len(self.files) and sample >= self.files[self._part].frames:
            sample -= self.files[self._part].frames
            self._part += 1
        with self._remarks():
            self.files[self._part].seek(sample)

    def read(self, length: int) -> NDArray[np.float32]:
        """Up to `length` samples [<= length, C]; none at the end. After an error, `sound` are fine."""
        frames = np.empty((length, self.first.channels), np.float32)
        self.sound = 0
        while self.sound < length:
            with self._remarks():
                some: Any = self.files[self._part].read(out=frames[self.sound : self.sound + _STEP])
            if not len(some) and self._part + 1 == len(self.files):
                break
            self._part += not len(some)
            self.sound += len(some)
        return frames[: self.sound]

    def _remarks(self) -> AbstractContextManager[None]:
        return _quiet() if self.first.format in MPEG else nullcontext()


@contextmanager
def _quiet() -> Generator[None]:
    """Leave out what libmpg123 writes on stderr of its own; what is wrong with a file is said once, by us.

    Not where several threads run: another's message might be lost.
    """
    if threading.active_count() > 1:
        yield
        return
    try:
        stderr = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@contextmanager
def _open(path: Path) -> Generator[_Sound]:
    if not os.path.exists(path):
        raise InputError(f"{path}: no such file; check the name")
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a sound file in it")
    if not path.is_file():
        raise InputError(f"{path}: is no regular file; copy the sound into a file, or pipe it in as '-'")
    if not path.stat().st_size:
        raise InputError(f"{path}: the file is empty (0 bytes); get a whole copy")
    with ExitStack() as stack:
        try:
            status = path.stat()
            sound = _Sound(_contents(path, (status.st_ino, status.st_size, status.st_mtime_ns)), path, stack)
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
        yield sound


@lru_cache(maxsize=16)
def _contents(path: Path, stamp: tuple[int, int, int]) -> Contents:
    """What a file of that number, size and time holds: a command opens it often, and walks it once."""
    with ExitStack() as stack:
        return _opened(look(path), path, path, stack).contents


def _opened(contents: Contents, name: Path, source: Path | bytes, stack: ExitStack) -> _Sound:
    sound = _Sound(contents, source, stack)
    if sound.length < _UNKNOWN_LENGTH:
        return sound
    length = 0  # of a FLAC file that came through a pipe
    try:
        while frames := len(sound.read(_READ_LENGTH)):
            length += frames
    except (soundfile.SoundFileError, RuntimeError) as error:
        seconds = (length + sound.sound) / sound.first.samplerate
        raise InputError(f"{name}: damaged after {seconds:.3f} s; {_MEND_DAMAGE}") from error
    with _binary(source) as file:
        contents = with_length(contents, file, length)
    return _Sound(contents, source, stack)


def _binary(source: Path | bytes) -> BinaryIO:
    return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return str(text).strip().rstrip(".")


def _describe(path: Path, sound: _Sound) -> AudioInfo:
    file = sound.first
    facts = AudioInfo(
        file.samplerate, file.channels, sound.length, file.subtype, file.format, sound.contents.problem
    )
    if len(sound.forms) > 1:
        raise InputError(
            f"{path}: streams of other sample rates or channels follow each other; split the file"
        )
    if facts.length < 1:
        raise InputError(f"{path}: contains no samples; record or export it again")
    if facts.channels > MAX_CHANNELS:
        raise InputError(
            f"{path}: {facts.channels} channels, at most {MAX_CHANNELS} are read; split the file"
        )
    try:
        check_sample_rate(facts.sample_rate)
    except SampleRateError as error:
        raise SampleRateError(f"{path}: {error}") from error
    return facts
