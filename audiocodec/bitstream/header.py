"""What a `.nac` file says about itself before the first packet, as values and bytes; FORMAT.md, "Header"."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from itertools import groupby, pairwise

from audiocodec.bitstream.entropy import CODERS, Shape
from audiocodec.bitstream.fields import Cursor, varint
from audiocodec.errors import BitstreamError, ChecksumMismatch, InputError, NotAContainer, UnsupportedVersion

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
CRC_BYTES = 4
MAGIC = b"NAC1"
FORMAT_VERSION = 1
PREFIX_BYTES = len(MAGIC) + 1 + 2  # magic, version, size of the body
MAX_BODY_BYTES = 20_000  # more than the limits of the fields can add up to

KNOWN_EXTENSIONS: frozenset[int] = frozenset()
"""Extension kinds this version understands; FORMAT.md keeps the list of numbers given out."""

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
    """Check for a whole number from `lowest` to `highest`; InputError otherwise."""
    if not isinstance(value, int) or not lowest <= value <= highest:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(f"{name} is {value!r}, allowed are whole numbers from {lowest} to {highest}")


def pack_header(header: Header) -> bytes:
    """The header as bytes, checksum included."""
    body = _body(header)
    assert len(body) <= MAX_BODY_BYTES
    data = MAGIC + bytes([FORMAT_VERSION]) + len(body).to_bytes(2, "little") + body
    return data + zlib.crc32(data).to_bytes(CRC_BYTES, "little")


def header_size(prefix: bytes) -> int:
    """Bytes of the whole header, by its first PREFIX_BYTES bytes; NotAContainer without the magic."""
    if not prefix.startswith(MAGIC):
        raise NotAContainer(f"not a .nac file: it starts with {prefix[: len(MAGIC)]!r}, not {MAGIC!r}")
    size = int.from_bytes(prefix[len(MAGIC) + 1 : PREFIX_BYTES], "little")
    if size > MAX_BODY_BYTES:
        raise BitstreamError(
            f"the header claims {size} bytes, at most {MAX_BODY_BYTES} are allowed: it is damaged"
        )
    return PREFIX_BYTES + size + CRC_BYTES


def unpack_header(data: bytes) -> Header:
    """Read a header from exactly its bytes; a BitstreamError says what is wrong with it.

    Equal headers are equal bytes, so the checksum that seeds those of all records follows from the fields.
    Its place is the same in every version, so that damage and a newer version can be distinguished.
    """
    if zlib.crc32(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise ChecksumMismatch(
            "the header is damaged (its checksum does not match), so nothing can be decoded"
        )
    version = data[len(MAGIC)]
    if version != FORMAT_VERSION:
        raise UnsupportedVersion(
            f"format version {version}, known here is {FORMAT_VERSION}: install a newer audiocodec"
        )
    try:
        header = _parse_body(Cursor(data[PREFIX_BYTES:-CRC_BYTES], "the header"))
    except InputError as error:
        raise BitstreamError(f"the header is not valid: {error}") from error
    if pack_header(header) != data:
        raise BitstreamError(
            "the header is not in its one allowed form (neighboring codebooks of equal size are counted"
            " together): it was not written by this package"
        )
    return header


def _body(header: Header) -> bytes:
    sizes = b"".join(varint(len(list(run))) + varint(size) for size, run in groupby(header.codebook_sizes))
    name = header.model_name.encode("utf-8", "surrogatepass")
    fields = [
        bytes.fromhex(header.model_id),
        bytes.fromhex(header.codebook_id),
        varint(header.sample_rate),
        varint(header.channels),
        varint(0 if header.length is None else header.length + 1),
        varint(header.model_sample_rate),
        varint(header.hop_length),
        varint(header.delay),
        varint(header.packet_frames),
        varint(header.coder),
        varint(header.num_quantizers) + sizes,
        varint(len(name)) + name,
    ]
    for extension in header.extensions:
        fields += [varint(extension.kind), varint(len(extension.data)), extension.data]
    return b"".join(fields)


def _parse_body(cursor: Cursor) -> Header:
    model_id, codebook_id = cursor.take(ID_BYTES).hex(), cursor.take(ID_BYTES).hex()
    sample_rate, channels, length = cursor.varint(), cursor.varint(), cursor.varint()
    model_sample_rate, hop_length, delay = cursor.varint(), cursor.varint(), cursor.varint()
    packet_frames, coder = cursor.varint(), cursor.varint()
    if coder not in CODERS:
        raise UnsupportedVersion(
            f"entropy coder {coder} is unknown, there are {sorted(CODERS)}: install a newer audiocodec"
        )
    return Header(
        model_id=model_id,
        codebook_id=codebook_id,
        sample_rate=sample_rate,
        channels=channels,
        length=length - 1 if length else None,
        model_sample_rate=model_sample_rate,
        hop_length=hop_length,
        delay=delay,
        packet_frames=packet_frames,
        coder=coder,
        codebook_sizes=_parse_sizes(cursor),
        model_name=_parse_name(cursor),
        extensions=_parse_extensions(cursor),
    )


def _parse_sizes(cursor: Cursor) -> tuple[int, ...]:
    num_quantizers = cursor.varint()
    check_range("num_quantizers", num_quantizers, 1, MAX_NUM_QUANTIZERS)
    sizes: list[int] = []
    while len(sizes) < num_quantizers:
        run, size = cursor.varint(), cursor.varint()
        check_range("run of equal codebook sizes", run, 1, num_quantizers - len(sizes))
        sizes += [size] * run
    return tuple(sizes)


def _parse_name(cursor: Cursor) -> str:
    size = cursor.varint()
    check_range("size of the model name", size, 0, MAX_NAME_BYTES)
    try:
        return cursor.take(size).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BitstreamError("the header's model name is not UTF-8") from error


def _parse_extensions(cursor: Cursor) -> tuple[Extension, ...]:
    extensions: list[Extension] = []
    while cursor.remaining:
        kind, size = cursor.varint(), cursor.varint()
        check_range("extension size", size, 0, MAX_EXTENSION_BYTES)
        extension = Extension(kind, cursor.take(size))
        if extension.critical and kind not in KNOWN_EXTENSIONS:
            raise UnsupportedVersion(
                f"the file needs extension {kind}, unknown here: install a newer audiocodec"
            )
        extensions.append(extension)
    return tuple(extensions)
