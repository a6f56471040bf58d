"""Reading by position from a file or a pipe, and finding the next readable record after a damaged one.

Never asks for more memory than there are bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import BinaryIO

from audiocodec.bitstream.records import END_KIND, FEWER_ROWS, PACKET_KIND, SHORT, Fetch
from audiocodec.errors import InputError

CHUNK_BYTES = 1 << 16
MAX_GAP = 4096  # packets that may be lost in one place
SCAN_WINDOW = 1 << 22  # bytes searched for the end of one gap: over an hour of speech at 6 kbit/s
SCAN_WORK = 1 << 24  # bytes that may be checked by CRC in a whole file, two of the largest packets,
SCAN_SHARE = 16  # and so many more for each byte it has before the place: a hostile file cannot keep us busy
_BLOCK = 256

_KINDS = re.escape(bytes([*range(PACKET_KIND, PACKET_KIND + (SHORT | FEWER_ROWS) + 1), END_KIND]))
_STARTS = re.compile(  # a kind, then a size of 1 to 5 bytes, or as much of one as there is
    b"[" + _KINDS + rb"](?=[\x00-\x7f]|[\x80-\xff]{1,4}[\x01-\x7f]|[\x80-\xff]{0,4}\Z)"
)


class Source:
    """Bytes of `file` from where it stands now; a pipe is kept only as far back as not yet forgotten."""

    def __init__(self, file: BinaryIO) -> None:
        """Look whether `file` can jump; nothing is read yet."""
        self._file = file
        self._buffer = bytearray()
        self._base = 0  # position of the first byte in the buffer
        self._origin = 0
        self.size: int | None = None
        """Bytes in all, or None for a pipe."""
        if file.seekable():
            self._origin = file.tell()
            self.size = file.seek(0, io.SEEK_END) - self._origin

    def fetch(self, position: int, count: int) -> bytes:
        """Read `count` bytes at `position`, fewer only at the end; InputError to go back in a pipe."""
        self._go(position)
        start = position - self._base
        while len(self._buffer) < start + count and self._fill(start + count - len(self._buffer)):
            pass
        return bytes(self._buffer[start : start + count])

    def some(self, position: int, most: int) -> bytes:
        """Read what is there from `position` on, up to `most` bytes, waiting for one; empty at the end."""
        self._go(position)
        start = position - self._base
        while len(self._buffer) <= start and self._fill(start + 1 - len(self._buffer)):
            pass
        return bytes(self._buffer[start : start + most])

    def forget(self, position: int) -> None:
        """Drop what is buffered before `position`."""
        if position > self._base:
            dropped = min(position - self._base, len(self._buffer))
            del self._buffer[:dropped]
            self._base += dropped

    def _go(self, position: int) -> None:
        if self._base <= position <= self._base + len(self._buffer):
            return
        if self.size is not None:
            self._buffer.clear()
            self._base = position - position % CHUNK_BYTES  # going back step by step stays in it
        elif position < self._base:
            raise InputError(
                "a pipe can be read only once and in order: save it to a file to read it again or to jump"
            )

    def _fill(self, missing: int) -> bool:
        """Read some more bytes, from a pipe no more than are missing: a live stream must not be held up."""
        if self.size is not None:
            self._file.seek(self._origin + self._base + len(self._buffer))
            chunk = self._file.read(CHUNK_BYTES)
        else:
            chunk = self._file.read(min(missing, CHUNK_BYTES))
        self._buffer += chunk
        return bool(chunk)


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
