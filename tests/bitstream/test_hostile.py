"""Files with good checksums and impossible contents, made on purpose: refused, in little memory and time."""

import io
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audiocodec.bitstream import ContainerReader, Header
from audiocodec.bitstream.fields import varint
from audiocodec.bitstream.header import pack_header
from audiocodec.bitstream.records import (
    END_KIND,
    FEWER_ROWS,
    PACKET_KIND,
    SHORT,
    Index,
    pack_end,
    pack_packet,
    pack_record,
)
from audiocodec.bitstream.source import CHUNK_BYTES, SCAN_SHARE, SCAN_WORK, Source
from audiocodec.errors import BitstreamError, ChecksumMismatch, Truncated

Make = Callable[..., Header]
Codes = NDArray[np.int64]
Opener = Callable[[bytes], Any]


@pytest.fixture(params=["file", "pipe"])
def opened(request: pytest.FixtureRequest, pipe: type) -> Opener:
    return io.BytesIO if request.param == "file" else pipe


def read_all(file: Any) -> list[tuple[int, Codes]]:
    return list(ContainerReader(file).packets())


class Hostile:
    """Writes records with good checksums and impossible contents."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.data = pack_header(header)
        self.seed = zlib.crc32(self.data[:-4])

    def packet(self, number: int, codes: Codes) -> bytes:
        return pack_packet(self.header, number, codes, self.seed)

    def frame(self, kind: int, body: bytes) -> bytes:
        return pack_record(kind, body, self.seed)

    def end(self, sizes: tuple[int, ...], length: int) -> bytes:
        return pack_end(Index(np.array(sizes, np.int64), length), self.seed)


def hostile_records(hostile: Hostile, codes: Codes) -> dict[str, tuple[bytes, str]]:
    """Everything after the header, and what the error must say."""
    frame, end = hostile.frame, hostile.end
    good, short = hostile.packet(0, codes), hostile.packet(0, codes[:, :, :4])
    after_end = frame(END_KIND, b"\x00\x00\x00")
    payload = bytes(17)

    def alone(kind: int, body: bytes) -> bytes:
        """One packet in a file that is in order otherwise."""
        record = frame(kind, body)
        return record + end((len(record),), 0)

    return {
        "huge packet": (bytes([PACKET_KIND]) + varint(1 << 60) + b"...", "claims 1152921504606846976 bytes"),
        "huge end": (bytes([END_KIND]) + varint(1 << 60) + b"...", "claims 1152921504606846976 bytes"),
        "long size": (bytes([PACKET_KIND]) + b"\xff" * 20, "a count of more than 9 bytes"),
        "unknown flags": (alone(PACKET_KIND | 4, b"\x00" + payload), "flags 0x4"),
        "empty packet": (alone(PACKET_KIND, b""), "ends early"),
        "no frames": (alone(PACKET_KIND | SHORT, b"\x00\x00"), "0 frames"),
        "too many frames": (alone(PACKET_KIND | SHORT, b"\x00" + varint(1 << 50)), "1125899906842624 frames"),
        "all frames, said": (
            alone(PACKET_KIND | SHORT, b"\x00\x0a" + payload),
            "10 frames, which is not possible",
        ),
        "no rows": (alone(PACKET_KIND | FEWER_ROWS, b"\x00\x00"), "0 rows"),
        "too many rows": (
            alone(PACKET_KIND | FEWER_ROWS, b"\x00" + varint(1 << 50)),
            "1125899906842624 rows",
        ),
        "all rows, said": (alone(PACKET_KIND | FEWER_ROWS, b"\x00\x02" + payload), "2 rows and 10 frames"),
        "huge number": (alone(PACKET_KIND, varint(1 << 60) + payload), "number 1152921504606846976"),
        "far number": (hostile.packet(1 << 31, codes) + end((5,), 0), "packet 2147483648 is in its place"),
        "code out of range": (alone(PACKET_KIND, b"\x00" + b"\xff" * 17), "filling|outside|not zero"),
        "payload too short": (alone(PACKET_KIND, b"\x00" + payload[1:]), "16 bytes of packed codes"),
        "after a short one": (short + hostile.packet(1, codes) + end((19, 24), 0), "must be the last"),
        "huge count": (frame(END_KIND, b"\x00" + varint(1 << 60)), "ends early"),
        "huge length": (good + end((len(good),), 1 << 47), "claims 140737488355328 samples"),
        "length over the cap": (good + end((len(good),), 1 << 62), "claims 4611686018427387904 samples"),
        "bytes after the index": (after_end + bytes([len(after_end), 0, 0, 0]) + b"1CAN", "1 bytes too many"),
        "wrong sizes": (good + end((len(good) - 1,), 3200), "does not agree with the packets"),
        "entry of nothing": (good + end((len(good), 0), 3200), "a packet of 0 bytes, possible are 8 to"),
        "entry too large": (good + end((len(good), 1 << 40), 3200), "a packet of 1099511627776 bytes"),
        "entry too many": (good + end((len(good), 8), 3200), "lists 2 packets, 1 came before"),
        "no trailer": (frame(END_KIND, b"\x00\x00"), "in the middle of its trailer"),
        "trailer elsewhere": (
            frame(END_KIND, b"\x00\x00") + b"\x05\x00\x00\x001CAN",
            "trailer does not agree",
        ),
        "trailer alone": (b"\xff\xff\xff\xff1CAN", "no packet starts with the byte 0xff"),
        "two ends": (end((), 0) + end((), 0), "more bytes follow"),
    }


TINY = Header("0" * 32, "0" * 32, 1, 1, None, 1, 1, 0, (1024, 6), 10)
HOSTILE_NAMES = sorted(hostile_records(Hostile(TINY), np.zeros((1, 2, 10), np.int64)))


def test_hostile_records_are_refused_in_little_memory(
    subtests: pytest.Subtests, make_header: Make, draw_codes: Callable[..., Codes], opened: Opener
) -> None:
    for name in HOSTILE_NAMES:
        with subtests.test(name):
            hostile = Hostile(make_header())
            codes = draw_codes(hostile.header, np.random.default_rng(0))
            records, message = hostile_records(hostile, codes)[name]
            data = hostile.data + records
            tracemalloc.start()
            with pytest.raises(BitstreamError, match=message):
                read_all(opened(data))
            for on_damage in ("skip", "mark"):
                reader = ContainerReader(opened(data))
                assert len(list(reader.packets(on_damage))) <= 2
                assert reader.damage
            if opened is io.BytesIO:
                reader = ContainerReader(io.BytesIO(data))
                for number in range(reader.num_packets or 0):
                    try:
                        reader.packet(number)
                    except BitstreamError as error:
                        assert error.packet == number or "end of the file" in str(error)  # noqa: PT017
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < 2_000_000


def test_huge_claims_ask_a_pipe_for_little(make_header: Make, pipe: type) -> None:
    """The largest packet the caps allow is not asked for in one piece before its bytes are there."""
    header = make_header(codebook_sizes=(1 << 31,) * 16, packet_frames=1 << 16, hop_length=1)
    file = pipe(pack_header(header) + bytes([PACKET_KIND]) + varint(8_000_000) + bytes(1000), step=1 << 20)
    tracemalloc.start()
    with pytest.raises(Truncated):
        read_all(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert file.largest_request <= 1 << 16


class Work:
    """Counts what readers made while it is in force fetch: bytes, and how often."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        work = self
        self.bytes = self.calls = 0

        class Counting(Source):
            def fetch(self, position: int, count: int) -> bytes:
                return work.note(super().fetch(position, count))

            def some(self, position: int, *most: int) -> bytes:
                return work.note(super().some(position, *most))

        monkeypatch.setattr("audiocodec.bitstream.reader.Source", Counting)

    def note(self, data: bytes) -> bytes:
        self.bytes += len(data)
        self.calls += 1
        return data

    def of(self, file: Any) -> tuple[int, int]:
        """Bytes and calls that a pass over all packets takes."""
        self.bytes = self.calls = 0
        reader = ContainerReader(file)
        for _ in reader.packets("skip"):
            pass
        assert reader.damage
        return self.bytes, self.calls


LARGE = dict(
    codebook_sizes=(1 << 31,) * 16, packet_frames=1 << 16, hop_length=1
)  # packets of 8 MB are allowed


def many(kind: str, hostile: Hostile, codes: Codes, count: int) -> bytes:
    """A file of `count` records or entries that are meant to be read over and over."""
    records = [hostile.packet(i, codes) for i in range(count)]
    sizes = tuple(map(len, records))
    changed = [data[:8] + bytes([data[8] ^ 1]) + data[9:] for data in records]
    length = 3200 * count
    return (
        hostile.data
        + {
            "entries of nothing": lambda: hostile.end((0,) * count, 0),
            "damaged packets": lambda: b"".join(changed) + hostile.end(sizes, length),
            "damaged packets, no index": lambda: b"".join(records[:1] + changed[1:]),
            "every second one damaged, no index": lambda: b"".join(
                pair[i % 2] for i, pair in enumerate(zip(records, changed, strict=True))
            ),
            "every second one missing, no index": lambda: b"".join(records[::2]),
            "more than the index says": lambda: (
                (bytes([PACKET_KIND]) + varint(90 * count) + b"\0\0\0\0\0\0\0")[:9] * count
                + hostile.end((9,) * count, length)
            ),
            "ends where the index lists packets": lambda: (
                (bytes([END_KIND]) + varint(20_000) + b"\0\0\0\0\0\0\0")[:9] * count
                + hostile.end((9,) * count, length)
            ),
        }[kind]()
    )


@pytest.mark.parametrize(
    "kind",
    [
        "entries of nothing",
        "damaged packets",
        "damaged packets, no index",
        "every second one damaged, no index",
        "every second one missing, no index",
    ],
)
def test_work_grows_as_the_file(
    make_header: Make, opened: Opener, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Four times the packets cost four times the bytes fetched, not sixteen times."""
    work, codes, hostile = Work(monkeypatch), np.zeros((1, 2, 10), np.int64), Hostile(make_header())
    (few, few_calls), (more, more_calls) = (
        work.of(opened(many(kind, hostile, codes, count))) for count in (300, 1200)
    )
    assert more <= 5 * few + 10_000
    assert more_calls <= 5 * few_calls + 100


@pytest.mark.parametrize("kind", ["more than the index says", "ends where the index lists packets"])
def test_an_index_bounds_what_is_read(make_header: Make, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    work, codes, hostile = Work(monkeypatch), np.zeros((1, 16, 1), np.int64), Hostile(make_header(**LARGE))
    (few, _), (more, _) = (work.of(io.BytesIO(many(kind, hostile, codes, n))) for n in (300, 1200))
    assert more <= 5 * few


def test_a_start_without_a_possible_size_is_not_tried(
    make_header: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every byte of this file may start a packet, and none of them gives a size that a packet can have."""
    _, calls = Work(monkeypatch).of(io.BytesIO(pack_header(make_header()) + b"\xa0" * 20_000))
    assert calls < 5000  # at the ends of blocks


@pytest.mark.parametrize("damaged", [False, True])
def test_a_file_is_read_about_once(make_header: Make, counting_file: Any, damaged: bool) -> None:
    """In order, by number from the first to the last, and from the last to the first."""
    hostile = Hostile(make_header())
    codes = np.zeros((1, 2, 10), np.int64)
    records = [hostile.packet(i, codes) for i in range(8000)]
    sizes = tuple(map(len, records))
    if damaged:
        records = [data[:8] + bytes([data[8] ^ 1]) + data[9:] for data in records]
    data = hostile.data + b"".join(records) + hostile.end(sizes, 0)
    for numbers in (None, range(8000), reversed(range(8000))):
        file = counting_file(data)
        reader = ContainerReader(file)
        if numbers is None:
            assert len(list(reader.packets("mark"))) == 8000
        for number in numbers or ():
            try:
                reader.packet(number)
            except ChecksumMismatch:
                assert damaged
        assert file.taken <= 2 * len(data) + 4 * CHUNK_BYTES


def test_offsets_are_worked_out_once(make_header: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once for every packet that is lost."""
    data = many("damaged packets", Hostile(make_header()), np.zeros((1, 2, 10), np.int64), 500)
    added, cumsum = [], np.cumsum

    def counting(sizes: Any, **options: Any) -> Any:
        added.append(len(sizes))
        return cumsum(sizes, **options)

    monkeypatch.setattr(np, "cumsum", counting)
    reader = ContainerReader(io.BytesIO(data))
    assert len(list(reader.packets("mark"))) == 500
    for number in range(500):
        with pytest.raises(BitstreamError):
            reader.packet(number)
    assert added in ([500], [500, 500])  # as found from the end, and once more as met there


def test_all_gaps_of_a_file_share_one_budget(
    make_header: Make, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each gap 40 bytes pretend to start a packet of 400 KB; then comes a packet that is good."""
    hostile = Hostile(make_header(codebook_sizes=(2,) + (1 << 31,) * 15, packet_frames=4096, hop_length=1))
    codes, pretended = np.zeros((1, 1, 4096), np.int64), bytes([PACKET_KIND]) + varint(400_000)
    good = [hostile.packet(i, codes) for i in range(20)]
    data = hostile.data + (pretended * 40).join(good) + bytes(400_000)
    if opened is not io.BytesIO:
        opened = partial(opened, step=1 << 16)
    fetched, _ = Work(monkeypatch).of(opened(data))
    assert fetched <= SCAN_WORK + SCAN_SHARE * len(data)
    reader = ContainerReader(opened(data))
    assert [number for number, _ in reader.packets("skip")] == [0, 1]
    assert str(reader.damage[-1]).endswith("and nothing that follows can be read")


def test_search_for_the_next_packet_gives_up(make_header: Make, pipe: type) -> None:
    """A file made of nothing but packet starts costs a bounded amount of work."""
    header = make_header(codebook_sizes=(1 << 31,) * 16, packet_frames=1 << 16, hop_length=1)
    start = bytes([PACKET_KIND]) + varint(500_000)
    file = pipe(pack_header(header) + start * 250_000, step=1 << 16)
    reader = ContainerReader(file)
    assert list(reader.packets("mark")) == []
    assert len(reader.damage) == 1
