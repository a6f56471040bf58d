"""Finding the next readable packet after a damaged one, when there is no index to tell where it is."""

from __future__ import annotations

import re
from collections.abc import Callable

from audiocodec.bitstream.frame import END_KIND, PACKET_KIND, Fetch
from audiocodec.bitstream.packet import FEWER_ROWS, SHORT
from audiocodec.bitstream.source import Source

MAX_GAP = 4096  # packets that may be lost in one place
SCAN_WINDOW = 1 << 22  # bytes searched: over an hour of speech at 6 kbit/s
SCAN_WORK = 1 << 26  # bytes checked by CRC in all, so that a hostile file cannot keep us busy

_STARTS = re.compile(
    b"[" + re.escape(bytes([*range(PACKET_KIND, PACKET_KIND + (SHORT | FEWER_ROWS) + 1), END_KIND])) + b"]"
)


def next_record(source: Source, position: int, readable: Callable[[Fetch, int], bool]) -> int | None:
    """The first position from `position` on where `readable(fetch, position)` holds, or None.

    Every byte that may start a record is tried; a checksum matches by chance once in 4 billion times.
    """
    work = SCAN_WORK

    def fetch(start: int, count: int) -> bytes:
        nonlocal work
        work -= count
        return source.fetch(start, count) if work > 0 else b""

    stop = position + SCAN_WINDOW
    while position < stop and work > 0:
        block = source.some(position)
        if not block:
            return None
        for match in _STARTS.finditer(block):
            if readable(fetch, position + match.start()):
                return position + match.start()
        position += len(block)
    return None
