"""The end record with the index, and the trailer that finds it from the end; FORMAT.md, "End record"."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from audiocodec.bitstream.bits import Cursor, varint
from audiocodec.bitstream.frame import END_KIND, pack_frame, read_frame
from audiocodec.bitstream.header import MAX_LENGTH, Header
from audiocodec.bitstream.source import Source
from audiocodec.errors import BitstreamError, NotAContainer

END_MAGIC = b"1CAN"
TRAILER_BYTES = 4 + len(END_MAGIC)


@dataclass(frozen=True)
class Index:
    """Sizes in bytes of all packets in order, and the length in samples at the original rate."""

    sizes: tuple[int, ...]
    length: int

    def offsets(self, first: int) -> tuple[int, ...]:
        """Where each packet starts, and where the last one ends, when the first starts at `first`."""
        return tuple(accumulate(self.sizes, initial=first))


def pack_end(index: Index, seed: int) -> bytes:
    """Spell the end record and the trailer."""
    body = varint(index.length) + varint(len(index.sizes)) + b"".join(varint(size) for size in index.sizes)
    frame = pack_frame(END_KIND, body, seed)
    return frame + len(frame).to_bytes(4, "little") + END_MAGIC


def unpack_end(header: Header, body: bytes) -> Index:
    """Read the index from the body of an end record; BitstreamError when it contradicts the header."""
    cursor = Cursor(body, "the index")
    length, count = cursor.varint(), cursor.varint()
    sizes = tuple(cursor.varint() for _ in range(count))  # a count too large runs out of bytes
    cursor.finish()
    if length > MAX_LENGTH or not header.covers(length, count) or header.length not in (None, length):
        raise BitstreamError(f"the index claims {length} samples, which header and packets do not allow")
    return Index(sizes, length)


def end_size(trailer: bytes) -> int:
    """Bytes of the end record before this trailer; NotAContainer when these bytes are no trailer."""
    if trailer[4:] != END_MAGIC:
        raise NotAContainer(f"the file does not end with {END_MAGIC!r}")
    return int.from_bytes(trailer[:4], "little")


def find_index(source: Source, header: Header, first: int, seed: int) -> Index:
    """Read the index from the end of a file that can seek; `first` is where its packets start.

    Raises BitstreamError when it is missing, damaged, or disagrees with the size of the file.
    """
    size = source.size
    assert size is not None
    trailer = source.fetch(max(first, size - TRAILER_BYTES), TRAILER_BYTES)
    try:
        start = size - TRAILER_BYTES - end_size(trailer)
        if start < first:
            raise BitstreamError("it claims more bytes than the file has")
        frame = read_frame(source.fetch, start, seed, lambda kind: size - start)
        if frame.kind != END_KIND or start + frame.size + TRAILER_BYTES != size:
            raise BitstreamError("the trailer does not point at it")
        index = unpack_end(header, frame.body)
        if index.offsets(first)[-1] != start:
            raise BitstreamError("it does not agree with the size of the file")
    except BitstreamError as error:
        raise BitstreamError(
            f"the index cannot be read: {error}. The file is cut off or damaged; read its packets in order"
        ) from error
    return index
