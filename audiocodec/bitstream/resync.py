"""Finding the next readable packet after a damaged one, when there is no index to tell where it is."""

from __future__ import annotations

import re
from collections.abc import Callable

from audiocodec.bitstream.frame import END_KIND, PACKET_KIND, Fetch
from audiocodec.bitstream.packet import FEWER_ROWS, SHORT
from audiocodec.bitstream.source import Source

MAX_GAP = 4096  # packets that may be lost in one place
SCAN_WINDOW = 1 << 22  # bytes searched for the end of one gap: over an hour of speech at 6 kbit/s
SCAN_WORK = 1 << 24  # bytes that may be checked by CRC in a whole file, two of the largest packets,
SCAN_SHARE = 16  # and so many more for each byte it has before the place: a hostile file cannot keep us busy
_BLOCK = 256

_KINDS = re.escape(bytes([*range(PACKET_KIND, PACKET_KIND + (SHORT | FEWER_ROWS) + 1), END_KIND]))
_STARTS = re.compile(  # a kind, then a size of 1 to 5 bytes, or as much of one as there is
    b"[" + _KINDS + rb"](?=[\x00-\x7f]|[\x80-\xff]{1,4}[\x01-\x7f]|[\x80-\xff]{0,4}\Z)"
)


class Search:
    """The search for readable packets in one file, with one budget for all its gaps."""

    def __init__(self, source: Source) -> None:
        """Start with nothing spent."""
        self._source = source
        self.work = 0
        """Bytes checked so far."""

    def next_record(self, position: int, readable: Callable[[Fetch, int], bool]) -> int | None:
        """The first position from `position` on where `readable(fetch, position)` holds, or None.

        Every byte that may start a record is tried; a checksum matches by chance once in 4 billion times.
        """
        stop = position + SCAN_WINDOW
        while position < stop:
            block = self._source.some(position, _BLOCK)
            if not block:
                return None
            for match in _STARTS.finditer(block):
                place = position + match.start()
                if self.work > SCAN_WORK + SCAN_SHARE * place:
                    return None
                if readable(self._fetch, place):
                    return place
            position += len(block)
        return None

    def _fetch(self, position: int, count: int) -> bytes:
        data = self._source.fetch(position, count)
        self.work += len(data)
        return data
