"""Records: the packets of codes and the end of the file, each as kind, size, body and CRC-32; FORMAT.md."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream.entropy import CODERS, check_codes, plain_size
from audiocodec.bitstream.fields import MAX_VARINT_BYTES, Cursor, varint
from audiocodec.bitstream.header import CRC_BYTES, MAX_LENGTH, Header
from audiocodec.errors import BitstreamError, ChecksumMismatch, InputError, NotAContainer, Truncated

PACKET_KIND = 0xA0  # the low four bits are flags
PACKET_FLAGS = 0x0F
SHORT = 1  # the packet says how many frames it has: fewer than packet_frames
FEWER_ROWS = 2  # the packet says how many rows it has: fewer than num_quantizers (variable bitrate)
END_KIND = 0xE5
MIN_RECORD = 1 + 1 + 1 + 1 + CRC_BYTES  # a packet of one byte of codes: kind, size, number, payload, CRC-32
MAX_PACKETS = 1 << 32
FIELD_BYTES = 5 + 3 + 2  # at most, for number, frames and rows
END_MAGIC = b"1CAN"
TRAILER_BYTES = 4 + len(END_MAGIC)

Fetch = Callable[[int, int], bytes]
"""Reads (position, count) bytes, fewer only at the end of the file."""


@dataclass(frozen=True)
class Record:
    """A record whose checksum matched, and the number of bytes it takes in the file."""

    kind: int
    body: bytes
    size: int


def is_packet(kind: int) -> bool:
    """Whether the first byte of a record announces a packet."""
    return kind & ~PACKET_FLAGS == PACKET_KIND


def pack_record(kind: int, body: bytes, seed: int) -> bytes:
    """A record as bytes; `seed` is the header's CRC-32, which binds the record to its file."""
    data = bytes([kind]) + varint(len(body)) + body
    return data + zlib.crc32(data, seed).to_bytes(CRC_BYTES, "little")


def read_record(fetch: Fetch, position: int, seed: int, max_body: Callable[[int], int]) -> Record:
    """Read the record at `position`; `max_body(kind)` caps its size before anything is read.

    Raises Truncated, ChecksumMismatch, or BitstreamError for an unknown kind or a size over the cap.
    """
    kind = _byte(fetch, position)
    if kind != END_KIND and not is_packet(kind):
        raise BitstreamError(f"no packet starts with the byte {kind:#04x}")
    digits = bytearray()
    while len(digits) < MAX_VARINT_BYTES and (not digits or digits[-1] >= 0x80):
        digits.append(_byte(fetch, position + 1 + len(digits)))
    size = Cursor(bytes(digits), "the size of a packet").varint()
    if size > max_body(kind):
        raise BitstreamError(f"it claims {size} bytes, at most {max_body(kind)} are possible")
    start = 1 + len(digits)
    data = fetch(position, start + size + CRC_BYTES)
    if len(data) < start + size + CRC_BYTES:
        raise Truncated("the file ends in the middle of it")
    if zlib.crc32(data[:-CRC_BYTES], seed) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise ChecksumMismatch("its checksum does not match")
    return Record(kind, data[start:-CRC_BYTES], len(data))


def _byte(fetch: Fetch, position: int) -> int:
    data = fetch(position, 1)
    if not data:
        raise Truncated("the file ends there")
    return data[0]


@dataclass(frozen=True)
class Packet:
    """Codes [C, n, T], n <= num_quantizers rows and T <= packet_frames frames, and their payload's size."""

    number: int
    codes: NDArray[np.int64]
    payload_bytes: int


def pack_packet(header: Header, number: int, codes: NDArray[np.integer[Any]], seed: int) -> bytes:
    """Packet `number` of codes [C, n, T] as bytes; InputError when they do not fit the header."""
    if (
        codes.ndim != 3
        or not _fits(header, codes.shape[1], codes.shape[2])
        or codes.shape[0] != header.channels
    ):
        channels, rows, frames = header.packet_shape
        raise InputError(
            f"codes of a packet must be [C, N, T] with C = {channels}, N from 1 to {rows} "
            f"and T from 1 to {frames}, got shape {codes.shape}"
        )
    _, rows, frames = codes.shape
    sizes = header.codebook_sizes[:rows]
    check_codes(codes, sizes)
    kind, fields = PACKET_KIND, varint(number)
    if frames < header.packet_frames:
        kind, fields = kind | SHORT, fields + varint(frames)
    if rows < header.num_quantizers:
        kind, fields = kind | FEWER_ROWS, fields + varint(rows)
    return pack_record(kind, fields + CODERS[header.coder]().encode(codes, sizes), seed)


def unpack_packet(header: Header, record: Record) -> Packet:
    """Read a packet from a record with a good checksum; BitstreamError when its content is not possible."""
    flags = record.kind & PACKET_FLAGS
    if flags & ~(SHORT | FEWER_ROWS):
        raise BitstreamError(f"it has the flags {flags:#x}, unknown here")
    cursor = Cursor(record.body, "the packet")
    number = cursor.varint()
    frames = cursor.varint() if flags & SHORT else header.packet_frames
    rows = cursor.varint() if flags & FEWER_ROWS else header.num_quantizers
    shortest = frames < header.packet_frames if flags & SHORT else True
    fewest = rows < header.num_quantizers if flags & FEWER_ROWS else True
    if not (_fits(header, rows, frames) and shortest and fewest and number < MAX_PACKETS):
        raise BitstreamError(
            f"it claims number {number}, {rows} rows and {frames} frames, which is not possible"
        )
    payload = cursor.take(cursor.remaining)
    shape = (header.channels, rows, frames)
    codes = CODERS[header.coder]().decode(payload, shape, header.codebook_sizes[:rows])
    return Packet(number, codes, len(payload))


def max_packet_body(header: Header) -> int:
    """Most bytes the body of a packet can have: twice plain packing, as another coder may do worse."""
    return FIELD_BYTES + 64 + 2 * plain_size(header.packet_shape, header.codebook_sizes)


def _fits(header: Header, rows: int, frames: int) -> bool:
    return 1 <= rows <= header.num_quantizers and 1 <= frames <= header.packet_frames


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
    """The end record and the trailer as bytes."""
    sizes = index.sizes.tolist()
    body = varint(index.length) + varint(len(sizes)) + b"".join(varint(size) for size in sizes)
    record = pack_record(END_KIND, body, seed)
    return record + len(record).to_bytes(4, "little") + END_MAGIC


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
