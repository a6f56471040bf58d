import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audiocodec.bitstream import ContainerReader, ContainerWriter, Header
from audiocodec.errors import InputError, Truncated

Make = Callable[..., Header]
Codes = NDArray[np.int64]
Draw = Callable[..., Codes]
Write = Callable[[Header, list[Codes], int], bytes]


def assert_same(found: list[tuple[int, Codes]], packets: list[Codes]) -> None:
    assert [number for number, _ in found] == list(range(len(packets)))
    for (_, codes), expected in zip(found, packets, strict=True):
        np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("seed", range(25))
def test_random_files_come_back(
    make_header: Make, draw_codes: Draw, write_file: Write, pipe: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sizes = tuple(int(rng.choice([2, 5, 1024, 1025])) for _ in range(rng.integers(1, 6)))
    channels, packet_frames = int(rng.integers(1, 4)), int(rng.integers(1, 60))
    header = make_header(channels=channels, codebook_sizes=sizes, packet_frames=packet_frames)
    count = int(rng.integers(0, 40))
    frames = [header.packet_frames] * count
    if count:
        frames[-1] = int(rng.integers(1, header.packet_frames + 1))
    packets = [draw_codes(header, rng, t, int(rng.integers(1, len(sizes) + 1))) for t in frames]
    length = sum(frames) * 320
    data = write_file(header, packets, length)

    reader = ContainerReader(io.BytesIO(data))
    assert reader.header == header
    assert (reader.num_packets, reader.length) == (count, length)
    for number in rng.permutation(count):
        np.testing.assert_array_equal(reader.packet(int(number)), packets[number])
    assert_same(list(reader.packets()), packets)
    assert reader.damage == []

    stream = ContainerReader(pipe(data, step=int(rng.integers(1, 100))))
    assert (stream.num_packets, stream.length, stream.index) == (None, None, None)
    assert_same(list(stream.packets()), packets)
    assert (stream.num_packets, stream.length, stream.index) == (count, length, reader.index)


def test_overhead_is_tiny(make_header: Make, draw_codes: Draw, write_file: Write) -> None:
    """At 500 bit/s a packet of a second is 63 bytes: at most 8 more, and 1 in the index."""
    header = make_header(codebook_sizes=(1024,), packet_frames=50)
    packets = [draw_codes(header, np.random.default_rng(0))] * 300
    data = write_file(header, packets, 300 * 16000)
    reader = ContainerReader(io.BytesIO(data))
    assert len(list(reader.packets())) == 300
    assert reader.payload_bits == 300 * 63 * 8
    assert len(data) - 300 * 63 <= 70 + 300 * (8 + 1) + 24


def test_start_jumps_or_reads_on(make_header: Make, draw_codes: Draw, write_file: Write, pipe: type) -> None:
    header = make_header()
    packets = [draw_codes(header, np.random.default_rng(i)) for i in range(6)]
    data = write_file(header, packets, 6 * 3200)
    for file in (io.BytesIO(data), pipe(data)):
        found = list(ContainerReader(file).packets(start=4))
        assert [number for number, _ in found] == [4, 5]
        np.testing.assert_array_equal(found[0][1], packets[4])
    with pytest.raises(InputError, match="packet 7 does not exist"):
        ContainerReader(io.BytesIO(data)).packets(start=7)


def test_passes_and_jumps_may_interleave(make_header: Make, draw_codes: Draw, write_file: Write) -> None:
    header = make_header()
    packets = [draw_codes(header, np.random.default_rng(i)) for i in range(5)]
    file = io.BytesIO(b"before" + write_file(header, packets, 16000))
    file.seek(6)
    reader = ContainerReader(file)
    first, second = reader.packets(), reader.packets()
    for number, expected in enumerate(packets):
        assert next(first)[0] == number
        np.testing.assert_array_equal(reader.packet(4 - number), packets[4 - number])
        file.seek(0)  # others may move the file meanwhile
        np.testing.assert_array_equal(next(second)[1], expected)
    assert list(first) == list(second) == []


def test_many_writers_may_interleave(make_header: Make, draw_codes: Draw, write_file: Write) -> None:
    header = make_header()
    packets = [draw_codes(header, np.random.default_rng(i)) for i in range(4)]
    files = [io.BytesIO() for _ in range(3)]
    writers = [ContainerWriter(file, header) for file in files]
    for codes in packets:
        sizes = {writer.write_packet(codes) for writer in writers}
        assert len(sizes) == 1
    for writer in writers:
        writer.close(12800)
    assert {file.getvalue() for file in files} == {write_file(header, packets, 12800)}


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_real_pipe_gives_each_packet_at_once(make_header: Make, draw_codes: Draw, buffering: int) -> None:
    """The reader must not wait for more than the packet, or a live stream would lag."""
    header = make_header()
    packets = [draw_codes(header, np.random.default_rng(i)) for i in range(4)]
    source, sink = os.pipe()
    arrived = threading.Semaphore(0)

    def send() -> None:
        with os.fdopen(sink, "wb", buffering=0) as file, ContainerWriter(file, header) as writer:
            for codes in packets:
                writer.write_packet(codes)
                assert arrived.acquire(timeout=20)  # the next one only after this one was decoded
            writer.close(12800)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    found = []
    with os.fdopen(source, "rb", buffering=buffering) as file:
        reader = ContainerReader(file)
        for item in reader.packets():
            found.append(item)
            arrived.release()
    sender.join(20)
    assert_same(found, packets)
    assert reader.length == 12800


def test_a_pipe_is_read_once(make_header: Make, draw_codes: Draw, write_file: Write, pipe: type) -> None:
    header = make_header()
    packets = [draw_codes(header, np.random.default_rng(i)) for i in range(300)]
    reader = ContainerReader(pipe(write_file(header, packets, 3200)))
    with pytest.raises(InputError, match="a pipe has no index"):
        reader.packet(0)
    assert len(list(reader.packets())) == 300
    with pytest.raises(InputError, match="only once"):
        list(reader.packets())


def test_a_file_on_disk(make_header: Make, draw_codes: Draw, write_file: Write, tmp_path: Path) -> None:
    header = make_header(length=32000)
    packets = [draw_codes(header, np.random.default_rng(i)) for i in range(10)]
    path = tmp_path / "x.nac"
    with path.open("wb") as file, ContainerWriter(file, header) as writer:
        for codes in packets:
            writer.write_packet(codes)
    with path.open("rb") as file:
        reader = ContainerReader(file)
        np.testing.assert_array_equal(reader.packet(7), packets[7])
        assert_same(list(reader.packets()), packets)
    assert path.read_bytes() == write_file(header, packets, 32000)


def test_packet_numbers_outside_the_file(make_header: Make, write_file: Write) -> None:
    reader = ContainerReader(io.BytesIO(write_file(make_header(), [], 0)))
    for number in (-1, 0, 5):
        with pytest.raises(InputError, match=f"packet {number} does not exist, the file has 0"):
            reader.packet(number)
    with pytest.raises(InputError, match="on_damage is 'ignore'"):
        reader.packets("ignore")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 2, 10), r"C = 1, N from 1 to 2 and T from 1 to 10, got shape \(2, 2, 10\)"),
        ((1, 3, 10), "got shape"),
        ((1, 0, 10), "got shape"),
        ((1, 2, 0), "got shape"),
        ((1, 2, 11), "got shape"),
        ((2, 10), "got shape"),
    ],
)
def test_writer_refuses_shapes(make_header: Make, shape: tuple[int, ...], message: str) -> None:
    writer = ContainerWriter(io.BytesIO(), make_header())
    with pytest.raises(InputError, match=message):
        writer.write_packet(np.zeros(shape, np.int64))


def test_writer_refuses_codes_out_of_range_and_writes_nothing(make_header: Make) -> None:
    file = io.BytesIO()
    writer = ContainerWriter(file, make_header())
    before = file.getvalue()
    with pytest.raises(InputError, match="row 1 run from 0 to 6, allowed are 0 to 5"):
        writer.write_packet(np.array([[[0, 0], [0, 6]]]))
    with pytest.raises(InputError, match="integers"):
        writer.write_packet(np.zeros((1, 2, 10)))
    assert file.getvalue() == before
    assert writer.num_packets == 0


def test_only_the_last_packet_may_be_short(make_header: Make) -> None:
    writer = ContainerWriter(io.BytesIO(), make_header())
    writer.write_packet(np.zeros((1, 2, 9), np.int64))
    with pytest.raises(InputError, match="only the last packet"):
        writer.write_packet(np.zeros((1, 2, 10), np.int64))


def test_length_must_be_known_once_and_fit(make_header: Make) -> None:
    writer = ContainerWriter(io.BytesIO(), make_header())
    writer.write_packet(np.zeros((1, 2, 10), np.int64))
    with pytest.raises(InputError, match="length is not known"):
        writer.close()
    with pytest.raises(InputError, match="1 packets cannot hold 3201 samples"):
        writer.close(3201)
    with pytest.raises(InputError, match="cannot hold -1"):
        writer.close(-1)
    writer.close(3200)
    writer.close()  # a second time does nothing
    with pytest.raises(InputError, match="none follows the end"):
        writer.write_packet(np.zeros((1, 2, 10), np.int64))
    with pytest.raises(InputError, match="header says 5 samples, close was given 6"):
        ContainerWriter(io.BytesIO(), make_header(length=5)).close(6)


def test_an_exception_leaves_a_cut_off_file(make_header: Make, draw_codes: Draw) -> None:
    file, header = io.BytesIO(), make_header()
    codes = draw_codes(header, np.random.default_rng(0))

    def write() -> None:
        with ContainerWriter(file, header) as writer:
            writer.write_packet(codes)
            raise KeyError

    with pytest.raises(KeyError):
        write()
    file.seek(0)
    found = ContainerReader(file).packets()
    np.testing.assert_array_equal(next(found)[1], codes)
    with pytest.raises(Truncated):
        next(found)


class Stingy(io.RawIOBase):
    """An unbuffered output that takes a few bytes at a time, then none."""

    def __init__(self, room: int) -> None:
        self.taken = bytearray()
        self.room = room

    def write(self, data: bytes) -> int:  # type: ignore[override]
        part = bytes(data[: min(3, self.room)])
        self.room -= len(part)
        self.taken += part
        return len(part)


def test_partial_writes_are_finished(make_header: Make, draw_codes: Draw, write_file: Write) -> None:
    header, file = make_header(), Stingy(10_000)
    codes = draw_codes(header, np.random.default_rng(0))
    with ContainerWriter(file, header) as writer:  # type: ignore[arg-type]
        writer.write_packet(codes)
        writer.close(3200)
    assert bytes(file.taken) == write_file(header, [codes], 3200)
    with pytest.raises(InputError, match="takes no more bytes"):
        ContainerWriter(Stingy(20), header)  # type: ignore[arg-type]
