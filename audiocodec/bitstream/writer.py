"""Writing a `.nac` file packet by packet, to anything with `write`."""

from __future__ import annotations

from array import array
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream.header import CRC_BYTES, Header, pack_header
from audiocodec.bitstream.records import MAX_PACKETS, Index, pack_end, pack_packet
from audiocodec.errors import InputError


class ContainerWriter:
    """Writes header, packets, index and trailer to `file` in order; never seeks, and leaves `file` open.

    As a context manager it closes the container when all went well; after an exception the end is left off,
    which a reader reports as Truncated.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        """Write the header."""
        self.header = header
        self._file = file
        self._sizes = array("I")
        self._ended = False
        self._closed = False
        data = pack_header(header)
        self._seed = int.from_bytes(data[-CRC_BYTES:], "little")
        self._write(data)

    @property
    def num_packets(self) -> int:
        """Packets written so far."""
        return len(self._sizes)

    def write_packet(self, codes: NDArray[np.integer[Any]]) -> int:
        """Write codes [C, N, T] and return the bytes this took.

        T is `packet_frames`, or less in the last; N may be less than `num_quantizers` (variable bitrate).
        Raises InputError for codes that do not fit the header, and after the last packet.
        """
        if self._closed or self._ended:
            raise InputError(
                "only the last packet may have fewer than packet_frames frames, and none follows the end"
            )
        if self.num_packets == MAX_PACKETS:
            raise InputError(f"a file holds at most {MAX_PACKETS} packets: start another one")
        data = pack_packet(self.header, self.num_packets, codes, self._seed)
        self._write(data)
        self._sizes.append(len(data))
        self._ended = codes.shape[2] < self.header.packet_frames
        return len(data)

    def close(self, length: int | None = None) -> None:
        """Write index and trailer; `length` (samples, original rate) is needed if the header has none."""
        if self._closed:
            return
        length = self.header.length if length is None else length
        if length is None:
            raise InputError(
                "the length is not known yet: give close(length=...) the samples at the original rate"
            )
        if self.header.length not in (None, length):
            raise InputError(f"the header says {self.header.length} samples, close was given {length}")
        if length < 0 or not self.header.covers(length, self.num_packets):
            raise InputError(
                f"{self.num_packets} packets cannot hold {length} samples: write all packets before closing"
            )
        self._closed = True
        self._write(pack_end(Index(np.array(self._sizes, np.int64), length), self._seed))

    def __enter__(self) -> Self:
        """Give the writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the container, unless an exception is on its way."""
        if kind is None:
            self.close()

    def _write(self, data: bytes) -> None:
        """Write all of `data`, also to an unbuffered file, whose `write` may take a part only."""
        rest = memoryview(data)
        while rest:
            written = self._file.write(rest)
            if not written:
                raise InputError("the output takes no more bytes: open it in blocking mode")
            rest = rest[written:]
