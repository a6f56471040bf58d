"""Every changed byte and every cut is noticed, told in seconds, and costs only the packets it hits."""

import io
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audiocodec.bitstream import ContainerReader, Header
from audiocodec.bitstream.records import END_KIND
from audiocodec.errors import BitstreamError, ChecksumMismatch, NotAContainer, Truncated

Make = Callable[..., Header]
Codes = NDArray[np.int64]
Draw = Callable[..., Codes]
Write = Callable[[Header, list[Codes], int], bytes]
Opener = Callable[[bytes], Any]
COUNT = 6  # packets of 0.2 s each in `sound`


@pytest.fixture
def packets(make_header: Make, draw_codes: Draw) -> list[Codes]:
    header = make_header()
    return [draw_codes(header, np.random.default_rng(i)) for i in range(COUNT)]


@pytest.fixture
def sound(make_header: Make, write_file: Write, packets: list[Codes]) -> bytes:
    return write_file(make_header(), packets, COUNT * 3200)


@pytest.fixture(params=["file", "pipe"])
def opened(request: pytest.FixtureRequest, pipe: type) -> Opener:
    """Opens bytes as a file that can seek, or as a pipe."""
    return io.BytesIO if request.param == "file" else pipe


def read_all(file: Any) -> list[tuple[int, Codes]]:
    return list(ContainerReader(file).packets())


def assert_intact(found: Iterable[tuple[int, Codes | None]], packets: list[Codes]) -> None:
    """Whatever is handed out must be right: damage may lose packets, never change them."""
    for number, codes in found:
        if codes is not None:
            np.testing.assert_array_equal(codes, packets[number])


def offsets(data: bytes) -> tuple[int, ...]:
    index = ContainerReader(io.BytesIO(data)).index
    assert index is not None
    return index


def test_every_changed_byte_raises(sound: bytes, packets: list[Codes], opened: Opener) -> None:
    for position in range(len(sound)):
        for flip in (0x01, 0x80, 0xFF, 0x40 + position % 16):
            changed = bytearray(sound)
            changed[position] ^= flip
            with pytest.raises(BitstreamError):
                read_all(opened(bytes(changed)))


def test_every_cut_raises(sound: bytes, opened: Opener) -> None:
    for length in range(len(sound)):
        with pytest.raises(Truncated):
            read_all(opened(sound[:length]))


def test_every_added_or_removed_byte_raises(sound: bytes, opened: Opener) -> None:
    for position in range(len(sound) + 1):
        with pytest.raises(BitstreamError):
            read_all(opened(sound[:position] + b"\xa0" + sound[position:]))
    for position in range(len(sound)):
        with pytest.raises(BitstreamError):
            read_all(opened(sound[:position] + sound[position + 1 :]))


def test_every_swap_of_packets_raises(sound: bytes, opened: Opener) -> None:
    starts = [*offsets(sound), len(sound)]
    parts = [sound[a:b] for a, b in pairwise(starts)]
    for i in range(COUNT - 1):
        swapped = [*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]]
        with pytest.raises(
            BitstreamError, match=rf"packet {i} cannot be read: packet {i + 1} is in its place"
        ):
            read_all(opened(sound[: starts[0]] + b"".join(swapped)))


def test_a_packet_of_another_file_does_not_pass(
    make_header: Make, write_file: Write, packets: list[Codes], sound: bytes
) -> None:
    other = write_file(make_header(model_id="ff" * 16), packets, COUNT * 3200)
    start, stop = offsets(sound)[2:4]
    with pytest.raises(ChecksumMismatch, match="packet 2"):
        read_all(io.BytesIO(sound[:start] + other[start:stop] + sound[stop:]))


def test_error_tells_packet_and_seconds(sound: bytes, opened: Opener) -> None:
    changed = bytearray(sound)
    changed[offsets(sound)[3] + 8] ^= 1
    found = ContainerReader(opened(bytes(changed))).packets()
    assert [next(found)[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(
        ChecksumMismatch, match=r"packet 3 cannot be read: .*; 0.60 to 0.80 s are lost"
    ) as caught:
        next(found)
    assert caught.value.packet == 3
    assert caught.value.start_seconds == pytest.approx(0.6)
    assert caught.value.end_seconds == pytest.approx(0.8)
    reader = ContainerReader(io.BytesIO(bytes(changed)))
    with pytest.raises(ChecksumMismatch, match="packet 3"):
        reader.packet(3)
    assert reader.packet(4).shape == (1, 2, 10)


def test_cut_tells_from_where_on(sound: bytes, opened: Opener, packets: list[Codes]) -> None:
    reader = ContainerReader(opened(sound[: offsets(sound)[4] + 5]))
    found: list[tuple[int, Codes]] = []
    with pytest.raises(Truncated, match=r"everything from 0.80 s on is lost") as caught:
        found.extend(reader.packets())
    assert (caught.value.packet, caught.value.end_seconds) == (4, None)
    assert_intact(found, packets)
    reader = ContainerReader(io.BytesIO(sound[: offsets(sound)[4] + 5]))
    assert [number for number, _ in reader.packets("mark")] == [0, 1, 2, 3]
    assert len(reader.damage) == 1
    assert (reader.num_packets, reader.length) == (None, None)
    with pytest.raises(BitstreamError, match=r"index cannot be read.*read its packets in order"):
        reader.packet(0)


def test_cut_after_the_last_packet_loses_only_the_index(sound: bytes, packets: list[Codes]) -> None:
    for cut in range(1, 20):
        reader = ContainerReader(io.BytesIO(sound[:-cut]))
        assert len(list(reader.packets("skip"))) == COUNT
        assert len(reader.damage) == 1


@pytest.mark.parametrize("index_lost", [False, True])
def test_one_changed_byte_costs_one_packet(
    sound: bytes, packets: list[Codes], opened: Opener, index_lost: bool
) -> None:
    data = sound[:-4] if index_lost else sound
    starts = offsets(sound)
    size = starts[1] - starts[0]
    for lost in range(COUNT - index_lost):  # a lost last packet is known from the index only
        for position in range(starts[lost], starts[lost] + size):
            changed = bytearray(data)
            changed[position] ^= 0x15
            reader = ContainerReader(opened(bytes(changed)))
            found = list(reader.packets("mark"))
            assert [number for number, codes in found if codes is None] == [lost]
            assert [number for number, _ in found] == list(range(COUNT))
            assert_intact(found, packets)
            assert len(reader.damage) == 1 + index_lost
            skipped = list(ContainerReader(opened(bytes(changed))).packets("skip"))
            assert [number for number, _ in skipped] == [n for n in range(COUNT) if n != lost]


def test_with_an_index_nothing_is_searched(
    sound: bytes, packets: list[Codes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiocodec.bitstream.source.Search.next_record", None)
    changed = bytearray(sound)
    changed[offsets(sound)[2] + 1 : offsets(sound)[4]] = bytes(offsets(sound)[4] - offsets(sound)[2] - 1)
    found = list(ContainerReader(io.BytesIO(bytes(changed))).packets("mark"))
    assert [number for number, codes in found if codes is None] == [2, 3]
    assert_intact(found, packets)


def test_lost_whole_packets_are_numbered(sound: bytes, packets: list[Codes], opened: Opener) -> None:
    starts = offsets(sound)
    reader = ContainerReader(opened(sound[: starts[1]] + sound[starts[4] :]))
    found = list(reader.packets("mark"))
    assert [(number, codes is None) for number, codes in found] == [
        (0, False), (1, True), (2, True), (3, True), (4, False), (5, False)
    ]  # fmt: skip
    assert_intact(found, packets)
    assert reader.damage[0].start_seconds == pytest.approx(0.2)
    assert reader.damage[0].end_seconds == pytest.approx(0.8)
    assert str(reader.damage[0]).startswith("packets 1 to 3 cannot be read")


def test_packets_lost_before_the_end_are_known_from_the_index(
    sound: bytes, packets: list[Codes], opened: Opener
) -> None:
    starts = offsets(sound)
    end = starts[-1] + starts[1] - starts[0]
    reader = ContainerReader(opened(sound[: starts[4]] + sound[end:]))
    found = list(reader.packets("mark"))
    assert [number for number, codes in found if codes is None] == [4, 5]
    assert len(found) == COUNT


def test_a_packet_twice_is_dropped_once(sound: bytes, packets: list[Codes], opened: Opener) -> None:
    starts = offsets(sound)
    found = list(ContainerReader(opened(sound[: starts[3]] + sound[starts[2] :])).packets("mark"))
    assert [number for number, _ in found] == list(range(COUNT))
    assert all(codes is not None for _, codes in found)
    assert_intact(found, packets)


def test_random_havoc_never_gives_wrong_codes(sound: bytes, packets: list[Codes], opened: Opener) -> None:
    rng = np.random.default_rng(0)
    first = offsets(sound)[0]
    for _ in range(400):
        data = bytearray(sound)
        for _ in range(int(rng.integers(1, 4))):
            position = int(rng.integers(first, len(data)))
            size = int(rng.integers(1, 40))
            match rng.integers(3):
                case 0:
                    del data[position : position + size]
                case 1:
                    data[position:position] = rng.bytes(size)
                case _:
                    data[position : position + size] = rng.bytes(size)
        for on_damage in ("skip", "mark"):
            reader = ContainerReader(opened(bytes(data)))
            found = list(reader.packets(on_damage))
            numbers = [number for number, _ in found]
            assert numbers == sorted(set(numbers))
            assert_intact(found, packets)
            assert reader.damage


def test_a_packet_that_looks_like_the_end_is_still_a_lost_packet(sound: bytes) -> None:
    changed = bytearray(sound)
    changed[offsets(sound)[2]] = END_KIND
    reader = ContainerReader(io.BytesIO(bytes(changed)))
    assert [number for number, codes in reader.packets("mark") if codes is None] == [2]
    assert [error.packet for error in reader.damage] == [2]


def test_a_pass_that_skips_lists_all_damage(sound: bytes) -> None:
    changed = bytearray(sound)
    for number in (1, 4):
        changed[offsets(sound)[number] + 6] ^= 4
    reader = ContainerReader(io.BytesIO(bytes(changed)))
    assert [number for number, _ in reader.packets("skip")] == [0, 2, 3, 5]
    assert [error.packet for error in reader.damage] == [1, 4]


def test_what_is_lost_without_an_index_is_said_up_to_the_end(sound: bytes, opened: Opener) -> None:
    """Nothing can be found after packet 2, nor how many packets there were."""
    start = offsets(sound)[2]
    reader = ContainerReader(opened(sound[:start] + bytes(len(sound) - start)))
    assert [number for number, _ in reader.packets("skip")] == [0, 1]
    (damage,) = reader.damage
    assert str(damage).endswith("0.40 to 0.60 s are lost, and nothing that follows can be read")
    assert (damage.packet, damage.start_seconds, damage.end_seconds) == (2, pytest.approx(0.4), None)


@pytest.mark.parametrize("index_lost", [False, True])
def test_thousands_of_damaged_packets_are_listed_up_to_a_number(
    make_header: Make, draw_codes: Draw, write_file: Write, index_lost: bool
) -> None:
    """Every second packet is damaged; what is kept of that does not grow with the file."""
    header = make_header()
    data = bytearray(write_file(header, [draw_codes(header, np.random.default_rng(0))] * 2400, 2400 * 3200))
    for start in offsets(bytes(data))[1::2]:
        data[start + 8] ^= 1
    reader = ContainerReader(io.BytesIO(bytes(data[: -4 if index_lost else None])))
    assert [number for number, _ in reader.packets("skip")] == list(range(0, 2400, 2))
    assert len(reader.damage) in (1000, 1000 + index_lost)
    last = reader.damage[999]
    assert (last.packet, last.start_seconds) == (1999, pytest.approx(1999 * 0.2))
    assert last.end_seconds == pytest.approx(480.0)
    assert str(last).startswith("packets from 1999 on are damaged in many more places; the last: packet 2399")
    assert not any(error.__traceback__ or error.__cause__ for error in reader.damage)


def test_damage_after_the_last_packet_costs_no_sound(
    sound: bytes, packets: list[Codes], opened: Opener
) -> None:
    end = offsets(sound)[-1] + offsets(sound)[1] - offsets(sound)[0]
    for position in range(end + 1, len(sound)):
        changed = bytearray(sound)
        changed[position] ^= 1
        reader = ContainerReader(opened(bytes(changed)))
        assert len(list(reader.packets("mark"))) == COUNT
        assert [error.packet for error in reader.damage] == [None]
        assert "the end of the file, after packet 5" in str(reader.damage[0])


@pytest.mark.parametrize("data", [b"RIFF\x00\x00\x00\x00WAVE", b"x", b"NAX1....", b"\x00" * 100])
def test_other_files_are_told(data: bytes, opened: Opener) -> None:
    with pytest.raises(NotAContainer, match=r"not a \.nac file"):
        ContainerReader(opened(data))


def test_an_empty_file_is_truncated(opened: Opener) -> None:
    with pytest.raises(Truncated, match="after 0 bytes"):
        ContainerReader(opened(b""))
