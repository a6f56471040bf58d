"""What a `.nac` file says about itself before the first packet; byte by byte in FORMAT.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from audiocodec.bitstream.entropy import CODERS, Shape
from audiocodec.errors import InputError

# Caps for reading and writing alike: a file from outside cannot ask for much memory (FORMAT.md, "Limits").
MAX_SAMPLE_RATE = 10_000_000
MAX_CHANNELS = 255
MAX_LENGTH = 1 << 48
MAX_HOP_LENGTH = 1 << 20
MAX_DELAY = 1 << 24
MAX_NUM_QUANTIZERS = 256
MAX_CODEBOOK_SIZE = (1 << 32) - 1
MAX_PACKET_FRAMES = 1 << 16
MAX_PACKET_CODES = 1 << 20  # channels * num_quantizers * packet_frames: 8 MB as int64
MAX_PACKET_SAMPLES = 1 << 25  # channels * packet_frames * hop_length: 128 MB as float32
MAX_NAME_BYTES = 64
MAX_EXTENSIONS = 16
MAX_EXTENSION_BYTES = 1024

ID_BYTES = 16

# A list of our own, not `str.isprintable`: that grows with Unicode, and so with the version of Python.
_NOT_PRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\uf8ff"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f\U000f0000-\U0010ffff]"
)


def printable(text: str) -> str:
    """Leave out what may not stand in a text of a file; FORMAT.md, "Conventions"."""
    return _NOT_PRINTABLE.sub("", text)


@dataclass(frozen=True)
class Extension:
    """An extra field of the header: an odd `kind` must be known to decode, an even one may be skipped."""

    kind: int
    data: bytes = b""

    def __post_init__(self) -> None:
        """Check both fields; InputError names the allowed range."""
        check_range("extension kind", self.kind, 0, 65535)
        if len(self.data) > MAX_EXTENSION_BYTES:
            raise InputError(
                f"extension {self.kind} has {len(self.data)} bytes, at most {MAX_EXTENSION_BYTES}"
            )

    @property
    def critical(self) -> bool:
        """Whether a reader that does not know this kind must refuse the file."""
        return self.kind % 2 == 1


@dataclass(frozen=True)
class Header:
    """Everything a decoder must know before the first packet; wrong values raise InputError.

    `model_id` and `codebook_id` are the first 16 bytes of a SHA-256 as 32 hexadecimal digits; a full digest
    of 64 is shortened. `sample_rate` (Hz), `channels` and `length` (samples a channel; None while not known)
    are those of the original recording, `model_sample_rate` (Hz), `hop_length` and `delay` (samples) those
    of the model. Every packet carries `packet_frames` frames but the last, which may carry fewer.
    """

    model_id: str
    codebook_id: str
    sample_rate: int
    channels: int
    length: int | None
    model_sample_rate: int
    hop_length: int
    delay: int
    codebook_sizes: tuple[int, ...]
    packet_frames: int
    coder: int = 0
    model_name: str = ""
    extensions: tuple[Extension, ...] = ()

    def __post_init__(self) -> None:
        """Check every field against its allowed range."""
        for field in ("model_id", "codebook_id"):
            object.__setattr__(self, field, _short_id(field, getattr(self, field)))
        object.__setattr__(self, "codebook_sizes", tuple(self.codebook_sizes))
        object.__setattr__(self, "extensions", tuple(self.extensions))
        self._check_numbers()
        if self.coder not in CODERS:
            raise InputError(f"coder {self.coder} is unknown, there are {sorted(CODERS)}")
        name = self.model_name.encode("utf-8", "surrogatepass")
        if len(name) > MAX_NAME_BYTES or printable(self.model_name) != self.model_name:
            raise InputError(
                f"model name {self.model_name[:80]!r} is not allowed: "
                f"at most {MAX_NAME_BYTES} bytes of printable UTF-8"
            )
        check_range("number of extensions", len(self.extensions), 0, MAX_EXTENSIONS)
        kinds = [extension.kind for extension in self.extensions]
        if any(kind >= after for kind, after in pairwise(kinds)):
            raise InputError(f"the extensions are of kinds {kinds}; give each kind once, in rising order")

    def _check_numbers(self) -> None:
        check_range("sample_rate", self.sample_rate, 1, MAX_SAMPLE_RATE)
        check_range("channels", self.channels, 1, MAX_CHANNELS)
        if self.length is not None:
            check_range("length", self.length, 0, MAX_LENGTH)
        check_range("model_sample_rate", self.model_sample_rate, 1, MAX_SAMPLE_RATE)
        check_range("hop_length", self.hop_length, 1, MAX_HOP_LENGTH)
        check_range("delay", self.delay, 0, MAX_DELAY)
        check_range("num_quantizers", self.num_quantizers, 1, MAX_NUM_QUANTIZERS)
        for row, size in enumerate(self.codebook_sizes):
            check_range(f"codebook_sizes[{row}]", size, 2, MAX_CODEBOOK_SIZE)  # of 1, codes take no bytes
        check_range("packet_frames", self.packet_frames, 1, MAX_PACKET_FRAMES)
        channels, rows, frames = self.packet_shape
        check_range("number of codes in a packet", channels * rows * frames, 1, MAX_PACKET_CODES)
        samples = channels * frames * self.hop_length
        check_range("number of samples in a packet", samples, 1, MAX_PACKET_SAMPLES)

    @property
    def num_quantizers(self) -> int:
        """Rows of codes in a full packet."""
        return len(self.codebook_sizes)

    @property
    def frame_rate(self) -> float:
        """Frames a second (Hz)."""
        return self.model_sample_rate / self.hop_length

    @property
    def packet_shape(self) -> Shape:
        """Shape [C, N, T] of the codes in a full packet."""
        return self.channels, self.num_quantizers, self.packet_frames

    @property
    def nominal_bitrate(self) -> float:
        """Bit/s of the codes with the plain coder, all channels together, without what the container adds."""
        bits = sum((size - 1).bit_length() for size in self.codebook_sizes)
        return self.channels * bits * self.frame_rate

    def packet_seconds(self, number: int) -> tuple[float, float]:
        """Start and end of what packet `number` carries, in seconds of the decoded recording (no delay)."""
        packet_samples = self.packet_frames * self.hop_length
        start = max(0, number * packet_samples - self.delay) / self.model_sample_rate
        end = max(0, (number + 1) * packet_samples - self.delay) / self.model_sample_rate
        if self.length is not None:
            total = self.length / self.sample_rate
            start, end = min(start, total), min(end, total)
        return start, end

    def covers(self, length: int, packets: int) -> bool:
        """Whether `length` samples at the original rate can come out of that many packets, at most."""
        model_length = -(-length * self.model_sample_rate // self.sample_rate)
        return model_length <= packets * self.packet_frames * self.hop_length


def _short_id(field: str, value: str) -> str:
    digits = value[: 2 * ID_BYTES] if len(value) in (2 * ID_BYTES, 64) else ""
    if not digits or set(value) - set("0123456789abcdef"):
        raise InputError(
            f"{field} must be a SHA-256 in 64 lower-case hexadecimal digits, or its first 32, got {value!r}"
        )
    return digits


def check_range(name: str, value: int, lowest: int, highest: int) -> None:
    """Insist on a whole number from `lowest` to `highest`; InputError otherwise."""
    if not isinstance(value, int) or not lowest <= value <= highest:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"{name} is {value!r}, allowed are whole numbers from {lowest} to {highest}")
