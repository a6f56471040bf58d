"""Mutated files whose checksums are right, as a hostile writer makes them: our errors, no wrong codes."""

import io
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audiocodec.bitstream import ContainerReader, Extension, Header
from audiocodec.bitstream.fields import varint
from audiocodec.bitstream.header import pack_header
from audiocodec.bitstream.records import END_KIND, pack_record
from audiocodec.bitstream.source import CHUNK_BYTES
from audiocodec.errors import BitstreamError

Codes = NDArray[np.int64]
Rng = np.random.Generator
Kinds = tuple[Any, Any]
ROUNDS = 2500
COUNT = 6

pytestmark = pytest.mark.slow


@pytest.fixture
def kinds(counting_file: Any, pipe: Any) -> Kinds:
    """Of files: one that can seek and counts, and one that cannot."""
    return counting_file, pipe


@pytest.fixture
def packets(make_header: Callable[..., Header], draw_codes: Callable[..., Codes]) -> list[Codes]:
    return [draw_codes(make_header(), np.random.default_rng(i)) for i in range(COUNT)]


@pytest.fixture
def bodies(make_header: Callable[..., Header], packets: list[Codes], write_file: Any) -> list[bytes]:
    """Of the packets' records."""
    data = write_file(make_header(), packets, COUNT * 3200)
    index = ContainerReader(io.BytesIO(data)).index
    assert index is not None
    starts = [*index, index[-1] + index[1] - index[0]]
    return [data[start + 2 : stop - 4] for start, stop in pairwise(starts)]


def signed(header: bytes, records: list[tuple[int, bytes]]) -> bytes:
    """A file with right checksums and a trailer that fits, after a header without its checksum."""
    body = header[7:]
    data = header[:5] + len(body).to_bytes(2, "little") + body
    seed = zlib.crc32(data)
    frames = [pack_record(kind, content, seed) for kind, content in records]
    return (
        data + seed.to_bytes(4, "little") + b"".join(frames) + len(frames[-1]).to_bytes(4, "little") + b"1CAN"
    )


def changed(data: bytes, rng: Rng) -> bytes:
    """The same bytes but for a few that are others, left out or put in."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        position = int(rng.integers(len(out) + 1))
        match rng.integers(4):
            case 0:
                del out[position : position + int(rng.integers(1, 4))]
            case 1:
                out[position:position] = rng.bytes(int(rng.integers(1, 4)))
            case _:
                out[position : position + 1] = rng.bytes(1)
    return bytes(out)


def read_in_every_way(data: bytes, kinds: Kinds, rng: Rng, packets: list[Codes] | None) -> int:
    """Give the number of packets that were read; codes must be those of `packets`, if they are given."""
    found: list[tuple[int, Codes | None]] = []
    for make in kinds:
        for on_damage in ("raise", "skip", "mark"):
            file = make(data)
            with suppress(BitstreamError):
                found += ContainerReader(file).packets(on_damage)
            if make is kinds[0]:
                assert file.taken <= 6 * CHUNK_BYTES
    with suppress(BitstreamError):
        reader = ContainerReader(io.BytesIO(data))
        for number in rng.permutation(min(10, reader.num_packets or 0)):
            found.append((int(number), reader.packet(int(number))))
    for number, codes in found:
        if packets is not None and codes is not None:
            np.testing.assert_array_equal(codes, packets[number])
    return sum(codes is not None for _, codes in found)


@pytest.mark.parametrize("seed", range(4))
def test_indexes(
    make_header: Callable[..., Header], packets: list[Codes], bodies: list[bytes], kinds: Kinds, seed: int
) -> None:
    """Numbers that are impossible or merely wrong, bytes that are no numbers, and damaged packets too."""
    rng, header = np.random.default_rng(seed), pack_header(make_header())[:-4]
    read = 0
    for _ in range(ROUNDS):
        sizes = [len(body) + 6 for body in bodies]
        count, length = len(sizes), COUNT * 3200
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(len(sizes))) if sizes else 0
            match rng.integers(6):
                case 0:
                    sizes[place : place + 1] = []
                case 1:
                    sizes[place:place] = [int(rng.integers(40))] * int(rng.choice([1, 2, 50]))
                case 2:
                    sizes[place : place + 1] = [int(rng.integers(1 << int(rng.integers(1, 63))))]
                case 3 if len(sizes) > 1:  # their sum stays what it is
                    moved = int(rng.integers(1, 20))
                    sizes[place] += moved
                    sizes[place - 1] = max(0, sizes[place - 1] - moved)
                case 4:
                    count = int(rng.integers(1 << int(rng.integers(1, 63))))
                case _:
                    length = int(rng.integers(1 << int(rng.integers(1, 63))))
        if rng.random() < 0.7:
            count = len(sizes)
        end = varint(length) + varint(count) + b"".join(map(varint, sizes))
        if rng.random() < 0.2:
            end = changed(end, rng)
        data = bytearray(signed(header, [*((0xA0, body) for body in bodies), (END_KIND, end)]))
        if rng.random() < 0.5:
            for _ in range(int(rng.integers(1, 4))):
                data[int(rng.integers(len(header) + 4, len(data) - len(end) - 14))] ^= 1 << int(
                    rng.integers(8)
                )
        read += read_in_every_way(bytes(data), kinds, rng, packets)
    assert read > ROUNDS


@pytest.mark.parametrize("seed", range(4))
def test_headers(make_header: Callable[..., Header], bodies: list[bytes], kinds: Kinds, seed: int) -> None:
    """All records are signed for the header that was changed; what is read has the shape that it claims."""
    rng = np.random.default_rng(seed)
    header = make_header(codebook_sizes=(1024, 6), extensions=(Extension(2, b"abc"), Extension(65534, b"d")))
    good = pack_header(header)[:-4]
    end = varint(COUNT * 3200) + varint(COUNT) + b"".join(varint(len(body) + 6) for body in bodies)
    read = refused = 0
    for _ in range(ROUNDS):
        data = signed(
            good[:7] + changed(good[7:], rng), [*((0xA0, body) for body in bodies), (END_KIND, end)]
        )
        try:
            reader = ContainerReader(io.BytesIO(data))
        except BitstreamError:
            refused += 1
            continue
        assert data.startswith(pack_header(reader.header))
        read += read_in_every_way(data, kinds, rng, None)
        for _, codes in reader.packets("skip"):
            assert codes.shape == reader.header.packet_shape
            assert (codes.max(axis=(0, 2)) < reader.header.codebook_sizes).all()
    assert min(read, refused) > ROUNDS // 10


@pytest.mark.parametrize("seed", range(4))
def test_packets(make_header: Callable[..., Header], bodies: list[bytes], kinds: Kinds, seed: int) -> None:
    """Kinds, numbers, shapes and codes are any; what is read fits the header."""
    rng, header = np.random.default_rng(seed), make_header()
    good, read = pack_header(header)[:-4], 0
    for _ in range(ROUNDS):
        records = [(0xA0, body) for body in bodies]
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(COUNT))
            kind = 0xA0 + int(rng.integers(16)) if rng.random() < 0.5 else 0xA0
            records[place] = (kind, changed(records[place][1], rng))
        sizes = [len(body) + 6 for _, body in records]
        end = varint(COUNT * 3200) + varint(COUNT) + b"".join(map(varint, sizes))
        data = signed(good, [*records, (END_KIND, end)])
        read += read_in_every_way(data, kinds, rng, None)
        for _, codes in ContainerReader(io.BytesIO(data)).packets("skip"):
            rows = header.codebook_sizes[: codes.shape[1]]
            assert (codes.max(axis=(0, 2)) < rows).all()
    assert read > ROUNDS
