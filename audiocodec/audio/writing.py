"""Writes sound files."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from numpy.typing import NDArray

from audiocodec.audio.files import name_for_libsndfile
from audiocodec.audio.samples import MAX_CHANNELS, check_sample_rate
from audiocodec.errors import InputError
from audiocodec.storage import new_file

logger = logging.getLogger(__name__)

_MAX_WAV_BYTES = 0xFFFFFFFF - (1 << 16)  # sizes in a WAV header have 32 bits; some room for the header
_FULL_SCALE = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_FORMATS = {
    ".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".opus": "OGG", ".mp3": "MP3",
    ".aiff": "AIFF", ".aif": "AIFF", ".caf": "CAF", ".w64": "W64", ".rf64": "RF64", ".au": "AU",
}  # fmt: skip


class BlockWriter:
    """Write blocks [C, L] in [-1, 1] to a sound file of any length; a context manager.

    The ending of the name chooses the format. On an exception nothing is left behind. Integer formats
    clip, and give back exactly the samples that were read from a file of the same depth.

    Attributes:
        clipped: samples so far that were beyond full scale, in a format that clips.
        peak: the largest of them, 1 at full scale.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        subtype: str | None = None,
        overwrite: bool = False,
        length: int | None = None,
    ) -> None:
        """`subtype` None: PCM_16 where the format has it; `length`: samples to come, for WAV beyond 4 GiB."""
        self.path = Path(path)
        self.sample_rate = check_sample_rate(sample_rate)
        self.channels = channels
        self.format, self.subtype = _choose_format(self.path, subtype)
        if not 1 <= channels <= MAX_CHANNELS:
            raise InputError(f"{path}: {channels} channels; 1 to {MAX_CHANNELS} can be written")
        self._sample_bytes = _FULL_SCALE.get(self.subtype, 64 if self.subtype == "DOUBLE" else 32) // 8
        self._bytes = self.clipped = 0
        self.peak = 0.0
        if length is not None and self.format == "WAV" and self._count_bytes(length) > _MAX_WAV_BYTES:
            self.format = "RF64"
        self._overwrite = overwrite
        self._stack = ExitStack()

    def __enter__(self) -> BlockWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(new_file(self.path, self._overwrite))
            try:
                self._file = stack.enter_context(
                    soundfile.SoundFile(
                        name_for_libsndfile(temporary),
                        "w",
                        self.sample_rate,
                        self.channels,
                        self.subtype,
                        format=self.format,
                    )
                )
            except (soundfile.SoundFileError, RuntimeError) as error:
                raise InputError(
                    f"{self.path}: {self.format} cannot hold {self.channels} channels of {self.subtype} at"
                    f" {self.sample_rate} Hz; write .wav or .flac"
                ) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, block: NDArray[np.float32]) -> None:
        """Append samples [C, L].

        Raises:
            InputError: the shape is wrong, a sample is not finite, the disk is full, a WAV grew beyond 4 GiB.
        """
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise InputError(f"{self.path}: block of shape {block.shape}, expected [{self.channels}, L]")
        if not np.isfinite(block).all():
            raise InputError(f"{self.path}: samples to write are not finite numbers")
        self._bytes += self._count_bytes(block.shape[1])
        if self.format == "WAV" and self._bytes > _MAX_WAV_BYTES:
            raise InputError(
                f"{self.path}: a WAV file ends at 4 GiB; write .flac or .w64, or give the length"
            )
        if self.subtype in _FULL_SCALE:
            beyond = np.abs(block[np.abs(block) > 1])
            self.clipped += len(beyond)
            self.peak = max(self.peak, float(beyond.max(initial=0.0)))
        try:
            self._file.write(_to_depth(np.ascontiguousarray(block.T), self.subtype))
        except (soundfile.SoundFileError, RuntimeError, OSError) as error:
            raise InputError(f"{self.path}: cannot be written ({error}); is the disk full?") from error

    def _count_bytes(self, length: int) -> int:
        return length * self.channels * self._sample_bytes


def write(
    path: str | os.PathLike[str],
    wav: NDArray[np.float32],
    sample_rate: int,
    subtype: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write samples [C, L] to a new file, PCM_16 unless another `subtype` such as PCM_24 or FLOAT is chosen.

    Clipped samples are counted in a warning of the log.

    Raises:
        InputError: the file exists and `overwrite` is False, or it cannot be written as asked.
    """
    if wav.ndim != 2:
        raise InputError(f"{path}: samples of shape {wav.shape}, expected [C, L]")
    with BlockWriter(path, sample_rate, wav.shape[0], subtype, overwrite, wav.shape[1]) as writer:
        writer.write(wav)
    if writer.clipped:
        logger.warning("%s: %s", path, clipping(writer.clipped, writer.peak))


def clipping(count: int, peak: float) -> str:
    """The message about `count` clipped samples, the largest of which was `peak`."""
    return f"{count} samples beyond full scale were clipped, the largest is {peak:.2f}"


def _choose_format(path: Path, subtype: str | None) -> tuple[str, str]:
    name = _FORMATS.get(path.suffix.lower())
    if name is None:
        raise InputError(f"{path}: unknown ending {path.suffix!r}; use one of {', '.join(sorted(_FORMATS))}")
    allowed = soundfile.available_subtypes(name)
    if subtype is None:
        default = "OPUS" if path.suffix.lower() == ".opus" else soundfile.default_subtype(name)
        return name, "PCM_16" if "PCM_16" in allowed else str(default)
    if str(subtype).upper() not in allowed:
        raise InputError(
            f"{path}: {name} has no subtype {subtype!r}; use one of {', '.join(sorted(allowed))}"
        )
    return name, subtype.upper()


def _to_depth(
    frames: NDArray[np.float32], subtype: str
) -> NDArray[np.float32] | NDArray[np.int16] | NDArray[np.int32]:
    """Scale by 2^(bits-1) as reading does; libsndfile would scale by one less, and change every sample."""
    if subtype not in _FULL_SCALE:
        return frames
    bits = _FULL_SCALE[subtype]
    scale = 2.0 ** (bits - 1)
    whole = np.clip(np.rint(frames.astype(np.float64) * scale), -scale, scale - 1)
    if bits <= 16:  # libsndfile takes the upper bits of what it is given
        return (whole * 2 ** (16 - bits)).astype(np.int16)
    return (whole * 2 ** (32 - bits)).astype(np.int32)
