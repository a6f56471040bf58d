"""Fields of headers and records: counts of variable length, and a cursor that reads fields in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import BitstreamError, InputError, Truncated

MAX_VARINT_BYTES = 9  # 63 bits: every value fits a signed 64-bit integer


def varint(value: int) -> bytes:
    """A count from 0 to 2**63 - 1 as LEB128: 7 bits a byte, least significant first, top bit = more."""
    if not 0 <= value < 1 << 7 * MAX_VARINT_BYTES:
        raise InputError(f"{value} does not fit a variable-length count: allowed are 0 to 2**63 - 1")
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


class Cursor:
    """Reads fields one after another from bytes already in memory; `what` names them in errors."""

    def __init__(self, data: bytes, what: str) -> None:
        """Start at the first byte of `data`."""
        self._data = data
        self._what = what
        self.position = 0

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self.position

    def take(self, count: int) -> bytes:
        """Read `count` bytes; Truncated when there are fewer."""
        if count > self.remaining:
            raise Truncated(f"{self._what} ends early: {count} bytes wanted, {self.remaining} left")
        self.position += count
        return self._data[self.position - count : self.position]

    def varint(self) -> int:
        """Read one count; BitstreamError when it is too long or not in its shortest form."""
        value = 0
        for i in range(MAX_VARINT_BYTES):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                if byte == 0 and i > 0:
                    raise BitstreamError(f"{self._what} holds a count that is not in its shortest form")
                return value
        raise BitstreamError(f"{self._what} holds a count of more than {MAX_VARINT_BYTES} bytes")

    def varints(self, count: int) -> NDArray[np.int64]:
        """Read `count` counts [count] at once; fails as `varint`, and takes memory by the bytes it has."""
        data = np.frombuffer(self._data, np.uint8)[self.position :]
        ends = np.flatnonzero(data < 0x80)[:count]
        if len(ends) < count:
            raise Truncated(f"{self._what} ends early: {count} counts wanted, {len(ends)} left")
        starts = np.concatenate([[0], ends + 1])[:-1]
        widths = ends - starts + 1
        widest = int(widths.max(initial=0))
        if widest > MAX_VARINT_BYTES:
            raise BitstreamError(f"{self._what} holds a count of more than {MAX_VARINT_BYTES} bytes")
        if ((widths > 1) & (data[ends] == 0)).any():
            raise BitstreamError(f"{self._what} holds a count that is not in its shortest form")
        values = np.zeros(count, np.int64)
        for i in range(widest):
            longer = widths > i
            values[longer] |= (data[starts[longer] + i].astype(np.int64) & 0x7F) << 7 * i
        self.position += int(widths.sum())
        return values

    def finish(self) -> None:
        """Check that every byte has been read; BitstreamError otherwise."""
        if self.remaining:
            raise BitstreamError(f"{self._what} has {self.remaining} bytes too many")
