"""A checked record of the file, packet or end: kind, size, body, CRC-32; FORMAT.md, "Records"."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from audiocodec.bitstream.bits import MAX_VARINT_BYTES, Cursor, varint
from audiocodec.errors import BitstreamError, ChecksumMismatch, Truncated

CRC_BYTES = 4
PACKET_KIND = 0xA0  # the low four bits are flags
PACKET_FLAGS = 0x0F
END_KIND = 0xE5
MIN_RECORD = 1 + 1 + 1 + 1 + CRC_BYTES  # a packet of one byte of codes: kind, size, number, payload, CRC-32

Fetch = Callable[[int, int], bytes]
"""Reads (position, count) bytes, fewer only at the end of the file."""


@dataclass(frozen=True)
class Frame:
    """A record whose checksum matched, and the number of bytes it takes in the file."""

    kind: int
    body: bytes
    size: int


def is_packet(kind: int) -> bool:
    """Whether the first byte of a record announces a packet."""
    return kind & ~PACKET_FLAGS == PACKET_KIND


def pack_frame(kind: int, body: bytes, seed: int) -> bytes:
    """Spell a record; `seed` is the header's CRC-32, which binds the record to its file."""
    data = bytes([kind]) + varint(len(body)) + body
    return data + zlib.crc32(data, seed).to_bytes(CRC_BYTES, "little")


def read_frame(fetch: Fetch, position: int, seed: int, max_body: Callable[[int], int]) -> Frame:
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
    return Frame(kind, data[start:-CRC_BYTES], len(data))


def _byte(fetch: Fetch, position: int) -> int:
    data = fetch(position, 1)
    if not data:
        raise Truncated("the file ends there")
    return data[0]
