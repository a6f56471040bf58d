"""Reading by position from a file or a pipe, never asking for more memory than there are bytes."""

from __future__ import annotations

import io
from typing import BinaryIO

from audiocodec.errors import InputError

CHUNK_BYTES = 1 << 16


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
