from itertools import product

import numpy as np
import pytest

from audiocodec.bitstream import CODERS, PlainCoder
from audiocodec.bitstream.entropy import from_bits, plain_size, to_bits
from audiocodec.errors import BitstreamError, InputError


def test_random_codes_come_back(subtests: pytest.Subtests) -> None:
    for coder_id, seed in product(sorted(CODERS), range(40)):
        with subtests.test(f"coder {coder_id}, seed {seed}"):
            rng = np.random.default_rng(seed)
            channels, rows, frames = (int(n) for n in rng.integers(1, [4, 9, 60]))
            sizes = tuple(int(2 ** rng.uniform(0, 31.9)) for _ in range(rows))
            if seed % 2:
                sizes = tuple(sorted(int(rng.choice([1, 2, 5, 1024, 1025])) for _ in range(rows)))
            codes = np.stack([rng.integers(0, size, (channels, frames)) for size in sizes], 1)
            coder = CODERS[coder_id]()
            data = coder.encode(codes, sizes)
            decoded = coder.decode(data, codes.shape, sizes)
            np.testing.assert_array_equal(decoded, codes)
            assert decoded.dtype == np.int64


def test_plain_size_is_exact() -> None:
    sizes = (1024, 5, 1)
    codes = np.zeros((2, 3, 7), np.int64)
    assert len(PlainCoder().encode(codes, sizes)) == plain_size((2, 3, 7), sizes) == -(-2 * 7 * 13 // 8)


def test_plain_order_is_row_channel_frame() -> None:
    codes = np.array([[[1, 2], [0, 1]], [[3, 0], [1, 1]]])  # [C, N, T]
    # Row 0 in 2 bits: 01 10 11 00; row 1 in 1 bit: 0 1 1 1, then four zero bits.
    assert PlainCoder().encode(codes, (4, 2)) == bytes([0b01101100, 0b01110000])


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.uint16, np.uint64])
def test_bytes_do_not_depend_on_the_integer_type(dtype: type) -> None:
    codes = np.arange(12).reshape(1, 2, 6)
    assert PlainCoder().encode(codes.astype(dtype), (12, 12)) == PlainCoder().encode(codes, (12, 12))


@pytest.mark.parametrize(
    ("codes", "sizes", "message"),
    [
        (np.array([[[0, 4]]]), (4,), "row 0 run from 0 to 4, allowed are 0 to 3"),
        (np.array([[[0, 0], [-1, 0]]]), (4, 4), "row 1 run from -1"),
        (np.array([[[1 << 32]]]), (4,), "allowed are 0 to 3"),
        (np.zeros((1, 1, 2)), (4,), "must be integers"),
        (np.zeros((1, 2), int), (4,), "must be integers"),
        (np.zeros((1, 2, 2), int), (4,), "2 rows for 1 codebooks"),
    ],
)
def test_plain_refuses_to_encode(codes: np.ndarray, sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PlainCoder().encode(codes, sizes)


@pytest.mark.parametrize(
    ("data", "sizes", "message"),
    [
        (b"\xe0\x00", (5,), "row 0 holds a code outside"),
        (b"\x00\x01", (5,), "not zero"),
        (b"\x00", (5,), "needs 2"),
        (b"\x00\x00\x00", (5,), "needs 2"),
    ],
)
def test_plain_refuses_to_decode(data: bytes, sizes: tuple[int, ...], message: str) -> None:
    with pytest.raises(BitstreamError, match=message):
        PlainCoder().decode(data, (1, 1, 4), sizes)


@pytest.mark.parametrize("width", [0, 1, 3, 7, 8, 9, 10, 15, 16, 17, 31, 32])
def test_bits_come_back_at_every_width(width: int) -> None:
    rng = np.random.default_rng(width)
    values = rng.integers(0, 1 << width, 37)
    bits = to_bits(values, width)
    assert bits.size == 37 * width
    np.testing.assert_array_equal(from_bits(bits, width, 37), values)


def test_bits_are_most_significant_first() -> None:
    assert to_bits(np.array([5, 1]), 4).tolist() == [0, 1, 0, 1, 0, 0, 0, 1]
