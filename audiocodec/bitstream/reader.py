"""Reads `.nac` data from a file or a pipe, in order or by packet number; damage may be skipped."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, overload

import numpy as np
from numpy.typing import NDArray

from audiocodec.bitstream.header import CRC_BYTES, MAGIC, PREFIX_BYTES, Header, header_size, unpack_header
from audiocodec.bitstream.records import (
    END_KIND,
    MIN_RECORD,
    TRAILER_BYTES,
    Fetch,
    Index,
    Packet,
    end_size,
    max_end_body,
    max_packet_body,
    read_record,
    unpack_end,
    unpack_packet,
)  # fmt: skip
from audiocodec.bitstream.source import MAX_GAP, Search, Source
from audiocodec.errors import AudioCodecError, BitstreamError, InputError, Truncated

MAX_DAMAGE = 1000

OnDamage = Literal["raise", "skip", "mark"]
Codes = NDArray[np.int64]


@dataclass
class _Place:
    """Where a pass stands: byte position, number expected there, whether a short packet ended it."""

    position: int
    number: int
    ended: bool = False


class ContainerReader:
    """Reads header, packets and index from `file`, which stays open; whatever is wrong is a BitstreamError.

    The container runs from where `file` stands to its end. A file that can seek gives `packet(i)`,
    `num_packets` and `length` at once; a pipe gives packets in order, and the two numbers after the last.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the header."""
        self._source = Source(file)
        self._search = Search(self._source)
        data = self._header_bytes()
        self.header: Header = unpack_header(data)
        self.damage: list[BitstreamError] = []
        """Damaged places of the last pass over the packets; the last entry stands for all beyond 1,000."""
        self.payload_bits = 0
        """Bits of entropy-coded codes in the packets of the last pass, so far."""
        self._seed = int.from_bytes(data[-CRC_BYTES:], "little")
        self._first = len(data)
        self._index: Index | None = None
        self._index_error: BitstreamError | None = None

    def _header_bytes(self) -> bytes:
        prefix = self._source.fetch(0, PREFIX_BYTES)
        if len(prefix) < PREFIX_BYTES and prefix[: len(MAGIC)] == MAGIC[: len(prefix)]:
            raise Truncated(f"the file ends after {len(prefix)} bytes, in the middle of the header")
        size = header_size(prefix)
        data = self._source.fetch(0, size)
        if len(data) < size:
            raise Truncated(f"the file ends after {len(data)} bytes, in the middle of the header of {size}")
        return data

    @property
    def num_packets(self) -> int | None:
        """Packets in the file by its index, or None while not known (pipe, cut off, damaged index)."""
        index = self._find_index()
        return len(index.sizes) if index else None

    @property
    def length(self) -> int | None:
        """Samples a channel at the original rate, or None while not known."""
        index = self._find_index()
        return index.length if index else self.header.length

    @property
    def index(self) -> tuple[int, ...] | None:
        """Position of each packet in the file, or None while not known."""
        index = self._find_index()
        return tuple((self._first + index.starts[:-1]).tolist()) if index else None

    def packet(self, number: int) -> Codes:
        """Codes [C, N, T] of one packet, by the index; BitstreamError when it or the index is damaged."""
        index = self._find_index()
        if index is None:
            raise self._index_error or InputError(
                "a pipe has no index: read packets() in order, or save it to a file"
            )
        if not 0 <= number < len(index.sizes):
            raise InputError(f"packet {number} does not exist, the file has {len(index.sizes)}")
        place = _Place(self._start(index, number), number)
        record, _ = self._read(place)
        assert isinstance(record, Packet)
        return record.codes

    @overload
    def packets(
        self, on_damage: Literal["raise", "skip"] = "raise", start: int = 0
    ) -> Iterator[tuple[int, Codes]]: ...
    @overload
    def packets(self, on_damage: OnDamage, start: int = 0) -> Iterator[tuple[int, Codes | None]]: ...
    def packets(self, on_damage: OnDamage = "raise", start: int = 0) -> Iterator[tuple[int, Codes | None]]:
        """Packets from number `start` on as (number, codes [C, N, T]), then a check up to the last byte.

        Damage is raised ("raise"), or kept in `damage` and skipped; with "mark", each lost packet gives
        (number, None). What a cut-off end lost is not marked.
        """
        if on_damage not in ("raise", "skip", "mark"):
            raise InputError(f"on_damage is {on_damage!r}, allowed are 'raise', 'skip' and 'mark'")
        self.damage, self.payload_bits, self._search = [], 0, Search(self._source)
        place = _Place(self._first, 0)
        index = self._find_index() if start else None
        if index is not None:
            if not 0 <= start <= len(index.sizes):
                raise InputError(f"packet {start} does not exist, the file has {len(index.sizes)}")
            place = _Place(self._start(index, start), start)
        return (item for item in self._walk(place, on_damage) if item[0] >= start)

    def describe(self) -> dict[str, Any]:
        """Facts about the file, as commands print them; rates are those of all channels together."""
        header, size = self.header, self._source.size
        seconds = None if self.length is None else self.length / header.sample_rate
        return {
            "seconds": seconds,
            "sample_rate": header.sample_rate,
            "channels": header.channels,
            "model": header.model_name or header.model_id,
            "codebook": header.codebook_id,
            "num_quantizers": header.num_quantizers,
            "nominal_bitrate": header.nominal_bitrate,
            "bytes": size,
            "bitrate": 8 * size / seconds if size and seconds else None,
        }

    def _walk(self, place: _Place, on_damage: OnDamage) -> Iterator[tuple[int, Codes | None]]:
        while True:
            try:
                record, size = self._read(place)
            except BitstreamError as error:
                if on_damage == "raise":
                    raise
                lost = self._go_past(place)
                self._note(error, rest_lost=lost is None)
                if on_damage == "mark":
                    yield from ((number, None) for number in lost or ())
                if lost is None:
                    return
                continue
            if isinstance(record, Index):
                self._index = record
                return
            place.position += size
            place.number += 1
            place.ended = record.codes.shape[2] < self.header.packet_frames
            self.payload_bits += 8 * record.payload_bytes
            self._source.forget(place.position)
            yield record.number, record.codes

    def _note(self, error: BitstreamError, rest_lost: bool) -> None:
        """Keep what is damaged: one place after another, and those beyond the first MAX_DAMAGE as one."""
        if rest_lost and error.packet is not None and not isinstance(error, Truncated):
            error = _like(error, f"{error}, and nothing that follows can be read", self._end_seconds())
        elif error.packet is not None and len(self.damage) >= MAX_DAMAGE:
            more = self.damage.pop()
            text = f"packets from {more.packet} on are damaged in many more places; the last: {error}"
            error = _like(more, text, error.end_seconds)
        # Tracebacks hold what was read in each of these places.
        error.__cause__ = error.__context__ = None
        self.damage.append(error.with_traceback(None))

    def _read(self, place: _Place) -> tuple[Packet | Index, int]:
        """The record at `place` and its size; a BitstreamError says which packets and seconds are lost."""
        first = place.number
        last = first - 1 if self._at_end(place) else first  # packet lost when this fails
        try:
            record, size = self._record(self._source.fetch, place.position, first)
            if isinstance(record, Index):
                last = len(record.sizes) - 1
                self._check_end(record, place, size)
            elif place.ended:
                raise BitstreamError("it follows a packet with fewer frames, which must be the last")
            elif record.number != first:
                last = max(first, record.number - 1)
                raise BitstreamError(f"packet {record.number} is in its place")
        except BitstreamError as error:
            raise self._located(error, first, last) from error
        return record, size

    def _at_end(self, place: _Place) -> bool:
        """Whether the end record should be at `place`: by the index, else by its first byte."""
        if self._source.fetch(place.position, 1) != bytes([END_KIND]):
            return False
        index = self._find_index()
        return index is None or place.number >= len(index.sizes)

    def _record(self, fetch: Fetch, position: int, number: int) -> tuple[Packet | Index, int]:
        most = max_packet_body(self.header)
        entry = self._entry(number)

        def max_body(kind: int) -> int:
            largest = max_end_body(number + MAX_GAP) if kind == END_KIND else most
            return largest if entry is None else min(largest, entry - 2 - CRC_BYTES)

        record = read_record(fetch, position, self._seed, max_body)
        if record.kind == END_KIND:
            return unpack_end(self.header, record.body), record.size
        if entry is not None and record.size > entry:
            raise BitstreamError(f"it has {record.size} bytes, the index lists it with {entry}")
        return unpack_packet(self.header, record), record.size

    def _check_end(self, index: Index, place: _Place, size: int) -> None:
        """Check that index, trailer and file end here."""
        if len(index.sizes) != place.number:
            raise BitstreamError(f"the index lists {len(index.sizes)} packets, {place.number} came before it")
        if not self.damage and self._start(index, len(index.sizes)) != place.position:
            raise BitstreamError("the index does not agree with the packets")
        end = place.position + size
        trailer = self._source.fetch(end, TRAILER_BYTES)
        if len(trailer) < TRAILER_BYTES:
            raise Truncated("the file ends in the middle of its trailer")
        if end_size(trailer) != size:
            raise BitstreamError("the trailer does not agree with the index")
        if self._source.fetch(end + TRAILER_BYTES, 1):
            raise BitstreamError("more bytes follow the end of the file")

    def _go_past(self, place: _Place) -> range | None:
        """Move `place` to the next readable record; gives the packets lost, or None at the last one."""
        if place.ended:
            return None
        lost = place.number
        index = self._find_index()
        if index is not None and place.number < len(index.sizes):
            place.number += 1
            place.position = self._start(index, place.number)
            self._source.forget(place.position)
            return range(lost, place.number)
        numbers: dict[int, int] = {}

        def readable(fetch: Fetch, position: int) -> bool:
            try:
                record, _ = self._record(fetch, position, lost)
            except BitstreamError:
                return False
            numbers[position] = len(record.sizes) if isinstance(record, Index) else record.number
            return lost <= numbers[position] <= lost + MAX_GAP

        position = self._search.next_record(place.position, readable)
        if position is None or (position == place.position and numbers[position] == lost):
            return None
        place.position, place.number = position, numbers[position]
        self._source.forget(position)
        return range(lost, place.number)

    def _start(self, index: Index, number: int) -> int:
        """Where packet `number` starts by the index."""
        return self._first + int(index.starts[number])

    def _entry(self, number: int) -> int | None:
        """Bytes of packet `number` by the index, if that has been read and lists it."""
        sizes = None if self._index is None else self._index.sizes
        return int(sizes[number]) if sizes is not None and number < len(sizes) else None

    def _find_index(self) -> Index | None:
        """The index, read from the end at the first call when the file can seek."""
        if self._index is None and self._index_error is None and self._source.size is not None:
            try:
                self._index = find_index(self._source, self.header, self._first, self._seed)
            except BitstreamError as error:
                self._index_error = error
        return self._index

    def _located(self, error: BitstreamError, first: int, last: int) -> BitstreamError:
        """The same error with its packets and seconds, in the text and as attributes."""
        if last < first:
            return type(error)(f"the end of the file, after packet {first - 1}, cannot be used: {error}")
        start, end = self.header.packet_seconds(first)[0], self.header.packet_seconds(last)[1]
        seconds: float | None = end
        lost = f"{start:.2f} to {end:.2f} s are lost"
        if isinstance(error, Truncated):
            seconds = self._end_seconds()
            lost = f"everything from {start:.2f} s on is lost"
        packets = f"packet {first}" if first == last else f"packets {first} to {last}"
        located = type(error)(f"{packets} cannot be read: {error}; {lost}")
        located.packet, located.start_seconds, located.end_seconds = first, start, seconds
        return located

    def _end_seconds(self) -> float | None:
        return None if self.length is None else self.length / self.header.sample_rate


def _like(error: BitstreamError, text: str, end_seconds: float | None) -> BitstreamError:
    """The same error with another text, up to another end."""
    changed = type(error)(text)
    changed.packet, changed.start_seconds, changed.end_seconds = (
        error.packet,
        error.start_seconds,
        end_seconds,
    )
    return changed


def find_index(source: Source, header: Header, first: int, seed: int) -> Index:
    """Read the index from the end of a file that can seek; `first` is where its packets start.

    Raises BitstreamError when it is missing, damaged, or disagrees with the size of the file.
    """
    size = source.size
    assert size is not None
    trailer = source.fetch(max(first, size - TRAILER_BYTES), TRAILER_BYTES)
    try:
        start = size - TRAILER_BYTES - end_size(trailer)
        if start < first:
            raise BitstreamError("it claims more bytes than the file has")
        most = max_end_body((start - first) // MIN_RECORD)
        record = read_record(source.fetch, start, seed, lambda kind: most)
        if record.kind != END_KIND or start + record.size + TRAILER_BYTES != size:
            raise BitstreamError("the trailer does not point at it")
        index = unpack_end(header, record.body)
        if first + index.starts[-1] != start:
            raise BitstreamError("it does not agree with the size of the file")
    except BitstreamError as error:
        raise BitstreamError(
            f"the index cannot be read: {error}. The file is cut off or damaged; read its packets in order"
        ) from error
    return index


@contextmanager
def open_container(path: str | os.PathLike[str]) -> Generator[ContainerReader]:
    """Open a `.nac` file; every error of ours that is raised while it is open names it.

    Raises:
        InputError: it is missing or may not be read.
        BitstreamError: it is no `.nac` file, or its header is damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a .nac file in it")
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the name") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); change its permissions") from error
    with file:
        try:
            yield ContainerReader(file)
        except AudioCodecError as error:
            if not str(error).startswith(f"{path}: "):
                error.args = (f"{path}: {error}",)
            raise
