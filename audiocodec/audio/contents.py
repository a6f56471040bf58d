"""What a sound file really holds, which its header may not tell.

libsndfile trusts headers: it stops an MP3 at the length that its Xing frame claims, or that it estimates
without one, and a chained Ogg file at the end of its first stream. It also does not report that a file ends
before the length in its header. This module goes through the frames or pages of a file and reads a few bytes
of each.

MP3 frames: ISO/IEC 11172-3, 2.4.2.3; Ogg pages: https://www.rfc-editor.org/rfc/rfc3533; RIFF, Wave64, AIFF
and AU headers as their makers describe them; ID3 tags: https://id3.org/id3v2.3.0, 3.1.
"""

from __future__ import annotations

import io
import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_KBITS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_ANY_LENGTH = 0x7FFF0000
"""Programs that write to a pipe do not know the length, and write this number of bytes or more."""
_W64 = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
"""What follows the four letters of a chunk's name in a Wave64 file."""


Data = bytes | mmap.mmap


@dataclass(frozen=True)
class Stretch:
    """Bytes `first` to `stop` of a file."""

    first: int
    stop: int


@dataclass(frozen=True)
class Contents:
    """What libsndfile is given to read.

    Attributes:
        parts: sound files one after the other in this file, each a start of its own and stretches of the
            file; empty where libsndfile may have the file as it is.
        problem: what is wrong with the file, as a text; empty if nothing is known to be wrong.
    """

    parts: tuple[tuple[bytes, tuple[Stretch, ...]], ...] = ()
    problem: str = ""


def look(path: Path) -> Contents:
    """What a file holds; as `look_at`.

    Raises:
        InputError: as `look_at`.
        OSError: it cannot be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return look_at(data, path)


def look_at(data: Data, name: Path) -> Contents:
    """Go through the frames, pages or chunks of a file called `name`; other kinds of files are not examined.

    Raises:
        InputError: an MP3 file changes its sample rate, a FLAC file holds a second stream.
    """
    tag = _id3_size(data, 0)
    start = data[tag : tag + 4]
    if start == b"fLaC":
        return _flac(name, data, tag)
    if tag or _mpeg_frame(data, 0):
        return _mp3(name, data)
    if start == b"OggS":
        return _ogg(data)
    if start in (b"RIFF", b"RIFX", b"RF64", b"FORM", b".snd", b"riff"):
        return Contents(problem=_shorter_than_its_header(data))
    return _mp3(name, data) if name.suffix.lower() == ".mp3" else Contents()


class PartFile(io.RawIOBase):
    """Joins a start and stretches of a file to one file that can be read and can seek."""

    def __init__(self, file: BinaryIO, start: bytes, stretches: tuple[Stretch, ...]) -> None:
        """Of `file`, which is closed with this one."""
        super().__init__()
        self._file = file
        self._pieces: list[tuple[int, Stretch | bytes]] = [(0, start)] if start else []
        self._size = len(start)
        for stretch in stretches:
            self._pieces.append((self._size, stretch))
            self._size += stretch.stop - stretch.first
        self._place = self._piece = 0

    def readable(self) -> bool:
        """It can."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a byte."""
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def tell(self) -> int:
        """The byte that is read next."""
        return self._place

    def readinto(self, buffer: bytearray | memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Fill `buffer` as far as there is something; gives the number of bytes."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and self._place < self._size:
            piece = self._some(len(view) - filled)
            if not piece:  # the file has become shorter
                break
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._place += len(piece)
        return filled

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def _some(self, most: int) -> bytes:
        pieces = self._pieces
        while self._place < pieces[self._piece][0]:
            self._piece = 0 if self._place == 0 else self._piece - 1
        while self._piece + 1 < len(pieces) and self._place >= pieces[self._piece + 1][0]:
            self._piece += 1
        begin, piece = pieces[self._piece]
        inside = self._place - begin
        if isinstance(piece, bytes):
            return piece[inside : inside + most]
        self._file.seek(piece.first + inside)
        return self._file.read(min(most, piece.stop - piece.first - inside))


@dataclass(frozen=True)
class _Frame:
    """An MPEG frame of layer III: bytes and samples of it, its rate in Hz, bytes before a Xing tag."""

    size: int
    samples: int
    rate: int
    tag: int


def _mpeg_frame(data: Data, place: int) -> _Frame | None:
    """The frame that starts at byte `place`; None where there is none of a known size."""
    header = int.from_bytes(data[place : place + 4], "big")
    version, layer, bits, rate = header >> 19 & 3, header >> 17 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or bits in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz = _RATES[version][rate]
    size = (144 if first else 72) * _KBITS[1 if first else 2][bits] * 1000 // hertz + (header >> 9 & 1)
    mono = header >> 6 & 3 == 3
    return _Frame(
        size, 1152 if first else 576, hertz, 4 + ((17 if mono else 32) if first else (9 if mono else 17))
    )


def _id3_size(data: Data, place: int) -> int:
    """Bytes of the ID3 tag that starts at byte `place`; 0 where there is none that ends in the file."""
    head = data[place : place + 10]
    if head[:3] != b"ID3" or len(head) < 10 or 0xFF in head[3:5] or max(head[6:]) > 127:
        return 0
    size = 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    return size if place + size <= len(data) else 0


def _mpeg_frames(data: Data) -> Iterator[tuple[int, _Frame]]:
    """All frames, with their first bytes; tags and what is no frame are passed over."""
    place, size, sure = 0, len(data), False
    while place + 4 <= size:
        if tag := _id3_size(data, place):
            place += tag
            continue
        frame = _mpeg_frame(data, place)
        # Where no frame came before, the next one must follow: two bytes of anything may look like one.
        if frame and (sure or place + frame.size >= size or _mpeg_frame(data, place + frame.size)):
            yield place, frame
            place, sure = place + frame.size, True
        else:
            sync = data.find(b"\xff", place + 1)
            tag = data.find(b"ID3", place + 1, sync if sync >= 0 else size)
            place, sure = (tag if tag >= 0 else sync if sync >= 0 else size), False


def _mp3(path: Path, data: Data) -> Contents:
    kept: list[Stretch] = []
    claimed, count, first, ends = None, 0, None, 0
    for place, frame in _mpeg_frames(data):
        if first is None:
            first = (place, frame)
        elif frame.rate != first[1].rate:
            raise InputError(
                f"{path}: the sample rate changes from {first[1].rate} to {frame.rate} Hz after"
                f" {count * frame.samples / first[1].rate:.3f} s; split the file there"
            )
        tag = data[place + frame.tag : place + frame.tag + 12]
        if tag[:4] in (b"Xing", b"Info") or data[place + 36 : place + 40] == b"VBRI":
            if place == first[0] and tag[:4] != b"VBRI" and len(tag) == 12 and tag[7] & 1:
                claimed = int.from_bytes(tag[8:12], "big")
            continue
        ends = place + frame.size
        stop = min(ends, len(data))
        count += 1
        if kept and kept[-1].stop == place:
            kept[-1] = Stretch(kept[-1].first, stop)
        else:
            kept.append(Stretch(place, stop))
    if first is None or not count:
        # Without its name: of a file that is called MP3, libsndfile says that it does not exist.
        return Contents(((b"", (Stretch(0, len(data)),)),))
    place, frame = first
    seconds = frame.samples / frame.rate
    problem = ""
    if claimed is not None and claimed > count:
        problem = _says(claimed * seconds, count * seconds)
    elif ends > len(data):
        problem = f"cut off: its last frame should end at {count * seconds:.3f} s and is not whole"
    elif claimed == count:
        return Contents()
    start = _xing(bytes(data[place : place + 4]), frame, count, sum(s.stop - s.first for s in kept))
    return Contents(((start, tuple(kept)),), problem)


def _xing(header: bytes, frame: _Frame, count: int, size: int) -> bytes:
    """A silent first frame that says how many follow, as libsndfile takes the number from there."""
    made = bytearray(max(frame.size, frame.tag + 16))
    version, rate = header[1] >> 3 & 3, frame.rate
    for bits in range(1, 15):  # the smallest frame that holds the tag
        length = (144 if version == 3 else 72) * _KBITS[1 if version == 3 else 2][bits] * 1000 // rate
        if length >= frame.tag + 16:
            made = bytearray(length)
            header = bytes([header[0], header[1] | 1, bits << 4 | header[2] & 0x0C, header[3]])
            break
    made[:4] = header
    made[frame.tag : frame.tag + 16] = b"Xing" + struct.pack(">III", 3, count, size + len(made))
    return bytes(made)


def _ogg(data: Data) -> Contents:
    """Streams one after the other are files of their own; the last page must say that it is the last."""
    starts, place, header, ended = list[int](), 0, False, True
    while data[place : place + 4] == b"OggS" and place + 27 <= len(data):
        kind, table = data[place + 5], data[place + 27 : place + 27 + data[place + 26]]
        if kind & 2 and not header:
            starts.append(place)
        header, ended = bool(kind & 2), bool(kind & 4)
        place += 27 + len(table) + sum(table)
    whole = ended and place <= len(data)
    problem = "" if whole else "cut off: the end of its stream is missing"
    if len(starts) < 2:
        return Contents(problem=problem)
    stops = [*starts[1:], len(data)]
    return Contents(tuple((b"", (Stretch(a, b),)) for a, b in zip(starts, stops, strict=True)), problem)


def _flac(path: Path, data: Data, start: int) -> Contents:
    """A FLAC file that begins at byte `start`, after a tag that is not its own."""
    second = data.find(b"fLaC\0\0\0\x22", start + 8)
    if second >= 0:
        raise InputError(f"{path}: a second FLAC file begins at byte {second}; split the file there")
    return Contents(((b"", (Stretch(start, len(data)),)),)) if start else Contents()


def with_length(contents: Contents, file: BinaryIO, samples: int) -> Contents:
    """A FLAC file that does not say its length, with one."""
    size = file.seek(0, io.SEEK_END)
    first = contents.parts[0][1][0].first if contents.parts else 0
    file.seek(first)
    data = file.read(26)
    start = data[:21] + bytes([data[21] & 0xF0 | samples >> 32]) + (samples & 0xFFFFFFFF).to_bytes(4, "big")
    return Contents(((start, (Stretch(first + len(start), size),)),))


def _shorter_than_its_header(data: Data) -> str:
    """Whether the samples of a WAV, Wave64, AIFF or AU file end before the length that its header says."""
    chunk = {b".snd": _au, b"riff": _wave64}.get(data[:4], _chunks)(data)
    if chunk is None:
        return ""
    first, claimed, per_second = chunk
    there = len(data) - first
    if not claimed or claimed >= _ANY_LENGTH or claimed <= there or not per_second:
        return ""
    return _says(claimed / per_second, there / per_second)


def _says(claimed: float, there: float) -> str:
    return f"cut off: its header says {claimed:.3f} s, {there:.3f} s are there"


def _au(data: Data) -> tuple[int, int, float] | None:
    if len(data) < 24:
        return None
    first, claimed, encoding, rate, channels = struct.unpack(">5I", data[4:24])
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding, 0)
    return first, claimed, float(rate * channels * width)


def _wave64(data: Data) -> tuple[int, int, float] | None:
    """As `_chunks`; names have 16 bytes, sizes 8, their heads count and they are rounded up to 8 bytes."""
    place, per_second = 40, 0.0
    while place + 24 <= len(data) and data[place + 4 : place + 16] == _W64:
        (size,) = struct.unpack("<Q", data[place + 16 : place + 24])
        if data[place : place + 4] == b"data":
            return place + 24, max(0, size - 24), per_second
        if data[place : place + 4] == b"fmt " and place + 36 <= len(data):
            per_second = float(struct.unpack("<I", data[place + 32 : place + 36])[0])
        place += max(24, size + 7 & ~7)
    return None


def _chunks(data: Data) -> tuple[int, int, float] | None:
    """First byte of the samples of a RIFF or AIFF file, how many bytes it claims, bytes a second."""
    big = data[:4] in (b"RIFX", b"FORM")
    order, place, per_second, long = ">" if big else "<", 12, 0.0, 0
    while place + 8 <= len(data):
        name, (size,) = data[place : place + 4], struct.unpack(order + "I", data[place + 4 : place + 8])
        body = data[place + 8 : place + 8 + min(size, 40)]
        if name == b"ds64" and len(body) >= 16:
            (long,) = struct.unpack("<Q", body[8:16])
        elif name == b"fmt " and len(body) >= 12:
            per_second = float(struct.unpack(order + "I", body[8:12])[0])
        elif name == b"COMM" and len(body) >= 18:
            channels, _, bits = struct.unpack(">hIh", body[:8])
            exponent, mantissa = struct.unpack(">hQ", body[8:18])
            rate = mantissa * 2.0 ** (exponent - 16383 - 63) if 0 < exponent < 16500 else 0.0
            per_second = rate * channels * ((bits + 7) // 8)
        elif name == b"data":
            return place + 8, long or size, per_second
        elif name == b"SSND":
            return place + 16, max(0, size - 8), per_second
        place += 8 + size + (size & 1)
    return None
