"""Files with good checksums and impossible contents, made on purpose: refused, in little memory and time."""

import io
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audiocodec.bitstream import ContainerReader, Header
from audiocodec.bitstream.bits import varint
from audiocodec.bitstream.frame import END_KIND, PACKET_KIND, pack_frame
from audiocodec.bitstream.header_bytes import pack_header
from audiocodec.bitstream.index import Index, pack_end
from audiocodec.bitstream.packet import FEWER_ROWS, SHORT, pack_packet
from audiocodec.errors import BitstreamError, Truncated

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
        return pack_frame(kind, body, self.seed)

    def end(self, sizes: tuple[int, ...], length: int) -> bytes:
        return pack_end(Index(sizes, length), self.seed)


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
        "entry of nothing": (good + end((len(good), 0), 3200), "lists 2 packets, 1 came before"),
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


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_records_are_refused_in_little_memory(
    make_header: Make, draw_codes: Callable[..., Codes], opened: Opener, name: str
) -> None:
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


def test_search_for_the_next_packet_gives_up(make_header: Make, pipe: type) -> None:
    """A file made of nothing but packet starts costs a bounded amount of work."""
    header = make_header(codebook_sizes=(1 << 31,) * 16, packet_frames=1 << 16, hop_length=1)
    start = bytes([PACKET_KIND]) + varint(500_000)
    file = pipe(pack_header(header) + start * 250_000, step=1 << 16)
    reader = ContainerReader(file)
    assert list(reader.packets("mark")) == []
    assert len(reader.damage) == 1
