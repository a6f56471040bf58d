"""How many bits the packets of other codecs hold, read from the files their programs write."""

from __future__ import annotations

from collections.abc import Sequence

from audiocodec.errors import PeerError

# 3GPP TS 26.201, table 2: speech bits of a frame of 20 ms by frame type; 9 is comfort noise. 14, 15: no data.
AMR_WB_BITS = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
_AMR_WB_MAGIC = b"#!AMR-WB\n"
_OGG_HEADER = 27


def payload_bits(packets: Sequence[int], length: int, packet_length: int) -> int:
    """Bits of the packets that cover `length` samples; what only flushes the decoder does not count."""
    return sum(packets[: -(-length // packet_length)])


def amr_wb_packets(data: bytes) -> list[int]:
    """Speech bits of every frame of an AMR-WB file (RFC 4867, section 5).

    Raises:
        PeerError: it is no such file, or is cut off.
    """
    if not data.startswith(_AMR_WB_MAGIC):
        raise PeerError("amrwb: the encoder wrote no AMR-WB file")
    position, packets = len(_AMR_WB_MAGIC), list[int]()
    while position < len(data):
        kind = data[position] >> 3 & 15
        if 10 <= kind <= 13:
            raise PeerError(f"amrwb: frame {len(packets)} has the reserved type {kind}")
        bits = AMR_WB_BITS[kind] if kind < len(AMR_WB_BITS) else 0
        position += 1 + -(-bits // 8)
        packets.append(bits)
    if position != len(data):
        raise PeerError("amrwb: the last frame is cut off")
    return packets


def ogg_packets(data: bytes) -> list[int]:
    """Bits of every packet in an Ogg file with one stream (RFC 3533, section 6), its headers included.

    Raises:
        PeerError: it is no such file, or is cut off.
    """
    packets, open_bytes, position = list[int](), 0, 0
    while position < len(data):
        if data[position : position + 4] != b"OggS" or position + _OGG_HEADER > len(data):
            raise PeerError("the encoder wrote a damaged Ogg file")
        segments = data[position + _OGG_HEADER : position + _OGG_HEADER + data[position + 26]]
        for size in segments:
            open_bytes += size
            if size < 255:  # the last segment of a packet
                packets.append(8 * open_bytes)
                open_bytes = 0
        position += _OGG_HEADER + len(segments) + sum(segments)
    return packets


def lc3_packets(data: bytes) -> list[int]:
    """Bits of every frame in a file of liblc3's `elc3`: a header that says its size, then length and bytes.

    Raises:
        PeerError: it is no such file, or is cut off.
    """
    if data[:2] != b"\x1c\xcc" or len(data) < 4:
        raise PeerError("lc3: the encoder wrote no LC3 file")
    position, packets = int.from_bytes(data[2:4], "little"), list[int]()
    while position < len(data):
        size = int.from_bytes(data[position : position + 2], "little")
        position += 2 + size
        packets.append(8 * size)
    if position != len(data):
        raise PeerError("lc3: the last frame is cut off")
    return packets
