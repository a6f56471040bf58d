"""Recordings decoded once into a cache of 16-bit samples, so that a training step only reads samples."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from audiocodec import audio
from audiocodec.audio import stamp
from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED, parse_json, read_bytes
from audiocodec.process import available_cpus
from audiocodec.storage import new_file
from audiocodec.training.data.prefetch import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from audiocodec.corpus.manifest import Recording

FULL_SCALE = 32767
BLOCK_LENGTH = 1 << 18
LONG_SECONDS = 600.0
"""Longer recordings are not decoded ahead, as they would fill memory, but block by block in their turn."""
NAMED = 20
"""Unreadable recordings that the log names one by one; a file lists all."""
MAX_ABOUT_BYTES = 1 << 30

logger = logging.getLogger(__name__)


class SampleStore:
    """Recordings as 16-bit samples at one rate, mono, in a memory-mapped file that is made once.

    Attributes:
        samples: of all recordings, one after the other.
        lengths: samples of each recording, 0 for one that could not be read.
        sources: of each recording.
        skipped: by path, why a recording could not be read.
    """

    def __init__(
        self,
        recordings: Sequence[Recording],
        sample_rate: int,
        cache: Path,
        progress: Callable[[float], None] | None = None,
        jobs: int | None = None,
    ) -> None:
        """Open the cache of these recordings; decode them if it is missing or a file has changed.

        `progress` is called with the share of recordings that are decoded. `jobs` threads decode (default:
        one for each core); the samples are the same for any number of threads.

        Raises:
            InputError: there is no recording, none can be read, or the cache cannot be written.
        """
        if not recordings:
            raise InputError("there is no recording to decode; name some in the manifest")
        listing = "\n".join(_name(recording) for recording in recordings)
        key = hashlib.sha256(f"{sample_rate}\n{listing}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.sample_rate, self.recordings = sample_rate, list(recordings)
        self.sources = [recording.source for recording in recordings]
        self._files = [cache / f"{key}.{name}" for name in ("samples.npy", "lengths.npy", "about.json")]
        stamps = [[*stamp(recording.path)] for recording in recordings]
        if not self._usable(stamps):
            self._decode(stamps, progress or (lambda share: None), jobs or available_cpus())
        self.samples, self.lengths = self._open()
        self.skipped: dict[str, str] = self._about().get("skipped", {})
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self._log_skipped(len(recordings))

    def segment(self, index: int, start: int, length: int) -> NDArray[np.float32]:
        """Samples [length] of recording `index` from `start`, zeros after its end."""
        first = self.offsets[index] + start
        stop = self.offsets[index] + min(int(self.lengths[index]), start + length)
        wav = np.zeros(length, np.float32)
        wav[: stop - first] = to_float32(self.samples[first:stop])
        return wav

    def _usable(self, stamps: list[list[int]]) -> bool:
        """Whether the cache is complete (lengths are written last) and its files had these stamps."""
        samples_file, lengths_file, _ = self._files
        if not (samples_file.exists() and lengths_file.exists()):
            return False
        before: Any = self._about().get("stamps")
        if isinstance(before, list) and before != stamps:
            old = dict(enumerate(cast("list[Any]", before)))
            changed = [one.path for n, one in enumerate(self.recordings) if old.get(n) != stamps[n]]
            logger.warning("%d of %d recordings have changed, such as %s; all are decoded again",
                           len(changed), len(stamps), *changed[:1])  # fmt: skip
        return before == stamps

    def _about(self) -> dict[str, Any]:
        """Stamps of the files and skipped recordings of the cache; {} without such a file."""
        file = self._files[2]
        try:
            return dict(parse_json(read_bytes(file, MAX_ABOUT_BYTES))) if file.exists() else {}
        except MALFORMED as error:
            raise InputError(f"{file}: damaged ({error}); delete it and the files beside it") from error

    def _open(self) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        samples_file, lengths_file, _ = self._files
        try:
            samples: NDArray[np.int16] = np.load(samples_file, mmap_mode="r")
            lengths: NDArray[np.int64] = np.load(lengths_file, mmap_mode="r")  # no more than the file has
            kinds, fits = (samples.dtype, lengths.dtype), lengths.shape == (len(self.sources),)
            lengths = np.array(lengths) if fits and kinds == (np.int16, np.int64) else np.full(1, -1)
            fits = (lengths >= 0).all() and samples.shape == (lengths.sum(),)
        except (OSError, *MALFORMED) as error:
            raise InputError(f"{samples_file}: damaged ({error}); delete it to decode anew") from error
        if not fits:
            raise InputError(f"{samples_file}: does not fit {lengths_file.name}; delete both to decode anew")
        return samples, lengths

    def _decode(self, stamps: list[list[int]], progress: Callable[[float], None], jobs: int) -> None:
        samples_file, lengths_file, about_file = self._files
        try:
            samples_file.parent.mkdir(parents=True, exist_ok=True)
            lengths_file.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{samples_file.parent}: cannot be written ({error.strerror})") from error
        lengths = np.zeros(len(self.recordings), np.int64)
        skipped: dict[str, str] = {}
        with new_file(samples_file, overwrite=True) as part, part.open("wb") as file:
            start = _write_header(file, 0)
            decoded = decode_all(self.recordings, self.sample_rate, jobs)
            for number, (recording, blocks) in enumerate(zip(self.recordings, decoded, strict=True)):
                try:
                    lengths[number] = _append(file, blocks)
                except InputError as error:
                    skipped[_name(recording)] = str(error)
                progress((number + 1) / len(lengths))
            if not lengths.any():
                first = next(iter(skipped.values()), "all are empty")
                raise InputError(f"none of {len(lengths)} recordings can be read; the first: {first}")
            file.seek(0)
            assert _write_header(file, int(lengths.sum())) == start, "numpy leaves room for a longer shape"
        with new_file(about_file, overwrite=True) as part:
            part.write_text(json.dumps({"skipped": skipped, "stamps": stamps}), "utf-8")
        with new_file(lengths_file, overwrite=True) as part, part.open("wb") as file:
            np.save(file, lengths)

    def _log_skipped(self, total: int) -> None:
        for reason in list(self.skipped.values())[:NAMED]:
            logger.warning("skipped: %s", reason)
        if self.skipped:
            logger.warning("skipped %d of %d recordings: %s", len(self.skipped), total, self._files[2])


def _write_header(file: BinaryIO, length: int) -> int:
    """Write the header of an array of `length` 16-bit samples; returns the place where the samples start."""
    header = {"descr": "<i2", "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _append(file: BinaryIO, blocks: Iterator[NDArray[np.int16]]) -> int:
    """Append one recording and return its length; a damaged recording leaves nothing in the file."""
    start = file.tell()
    try:
        for block in blocks:
            file.write(block.tobytes())
    except InputError:
        file.seek(start)
        file.truncate()
        raise
    return (file.tell() - start) // 2


def _name(recording: Recording) -> str:
    """The file and, for a part of it, the seconds."""
    return str(recording.path) if recording.part is None else f"{recording.path} {recording.part}"


def decode_all(
    recordings: Sequence[Recording], sample_rate: int, jobs: int
) -> Iterator[Iterator[NDArray[np.int16]]]:
    """Yield an iterator over the blocks [L] of each recording, mono at `sample_rate`, in order.

    Iterators raise InputError where a recording cannot be read. Threads are enough, as libsndfile and soxr
    release the interpreter lock while they decode and resample.
    """

    def decode_short(recording: Recording) -> list[NDArray[np.int16]] | InputError | None:
        """All blocks, or why the recording cannot be read; None for a long recording."""
        try:
            part = recording.part
            seconds = audio.info(recording.path).seconds if part is None else part[1] - part[0]
            return None if seconds > LONG_SECONDS else list(decode(recording, sample_rate))
        except InputError as error:
            return error

    for recording, blocks in zip(recordings, in_order(decode_short, recordings, jobs), strict=True):
        yield decode(recording, sample_rate) if blocks is None else _replay(blocks)


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
    """Blocks [C, L] of a recording, which may be a part of a file."""
    path = recording.path
    if recording.part is None:
        yield from audio.blocks(path, BLOCK_LENGTH)
        return
    about = audio.info(path)
    start, stop = (min(round(second * about.sample_rate), about.length) for second in recording.part)
    if start >= stop:
        raise InputError(
            f"{path}: seconds {recording.part[0]:g} to {recording.part[1]:g} are not in its"
            f" {about.seconds:g}; correct the manifest"
        )
    yield from audio.blocks(path, BLOCK_LENGTH, start, stop - start)


def _replay(blocks: list[NDArray[np.int16]] | InputError) -> Iterator[NDArray[np.int16]]:
    if isinstance(blocks, InputError):
        raise blocks
    yield from blocks
