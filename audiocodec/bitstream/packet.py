"""One packet of codes as bytes and back; FORMAT.md, "Packet"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream.bits import Cursor, varint
from audiocodec.bitstream.entropy import CODERS, check_codes, plain_size
from audiocodec.bitstream.frame import PACKET_FLAGS, PACKET_KIND, Frame, pack_frame
from audiocodec.bitstream.header import Header
from audiocodec.errors import BitstreamError, InputError

SHORT = 1  # the packet says how many frames it has: fewer than packet_frames
FEWER_ROWS = 2  # the packet says how many rows it has: fewer than num_quantizers (variable bitrate)
MAX_PACKETS = 1 << 32
FIELD_BYTES = 5 + 3 + 2  # at most, for number, frames and rows


@dataclass(frozen=True)
class Packet:
    """Codes [C, n, T], n <= num_quantizers rows and T <= packet_frames frames, and their payload's size."""

    number: int
    codes: NDArray[np.int64]
    payload_bytes: int


def pack_packet(header: Header, number: int, codes: NDArray[np.integer[Any]], seed: int) -> bytes:
    """Spell codes [C, n, T] as packet `number`; InputError when they do not fit the header."""
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
    return pack_frame(kind, fields + CODERS[header.coder]().encode(codes, sizes), seed)


def unpack_packet(header: Header, frame: Frame) -> Packet:
    """Read a packet from a record with a good checksum; BitstreamError when its content is not possible."""
    flags = frame.kind & PACKET_FLAGS
    if flags & ~(SHORT | FEWER_ROWS):
        raise BitstreamError(f"it has the flags {flags:#x}, unknown here")
    cursor = Cursor(frame.body, "the packet")
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
