"""The end record with the index, and the trailer that finds it from the end; FORMAT.md, "End record"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream.bits import Cursor, varint
from audiocodec.bitstream.frame import CRC_BYTES, END_KIND, MIN_RECORD, pack_frame, read_frame
from audiocodec.bitstream.header import MAX_LENGTH, Header
from audiocodec.bitstream.packet import max_packet_body
from audiocodec.bitstream.source import Source
from audiocodec.errors import BitstreamError, NotAContainer

END_MAGIC = b"1CAN"
TRAILER_BYTES = 4 + len(END_MAGIC)


@dataclass(frozen=True, eq=False)
class Index:
    """Sizes in bytes [n] of all packets in order, and the length in samples at the original rate."""

    sizes: NDArray[np.int64]
    length: int

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each packet starts, counted from the first, and where the last one ends, [n + 1]."""
        return np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)])


def pack_end(index: Index, seed: int) -> bytes:
    """Spell the end record and the trailer."""
    sizes = index.sizes.tolist()
    body = varint(index.length) + varint(len(sizes)) + b"".join(varint(size) for size in sizes)
    frame = pack_frame(END_KIND, body, seed)
    return frame + len(frame).to_bytes(4, "little") + END_MAGIC


def unpack_end(header: Header, body: bytes) -> Index:
    """Read the index from the body of an end record; BitstreamError when it contradicts the header."""
    cursor = Cursor(body, "the index")
    length, count = cursor.varint(), cursor.varint()
    sizes = cursor.varints(count)
    cursor.finish()
    largest = max_packet_body(header) + 1 + 4 + CRC_BYTES  # kind, size, body, CRC-32
    wrong = sizes[(sizes < MIN_RECORD) | (sizes > largest)]
    if len(wrong):
        raise BitstreamError(
            f"the index lists a packet of {wrong[0]} bytes, possible are {MIN_RECORD} to {largest}"
        )
    if length > MAX_LENGTH or not header.covers(length, count) or header.length not in (None, length):
        raise BitstreamError(f"the index claims {length} samples, which header and packets do not allow")
    return Index(sizes, length)


def max_end_body(packets: int) -> int:
    """Most bytes the body of an end record for so many packets can have, rounded up."""
    return 32 + 5 * packets


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
        most = max_end_body((start - first) // MIN_RECORD)
        frame = read_frame(source.fetch, start, seed, lambda kind: most)
        if frame.kind != END_KIND or start + frame.size + TRAILER_BYTES != size:
            raise BitstreamError("the trailer does not point at it")
        index = unpack_end(header, frame.body)
        if first + index.starts[-1] != start:
            raise BitstreamError("it does not agree with the size of the file")
    except BitstreamError as error:
        raise BitstreamError(
            f"the index cannot be read: {error}. The file is cut off or damaged; read its packets in order"
        ) from error
    return index
