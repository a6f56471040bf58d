"""How the codes of one packet become bytes: the contract of an entropy coder, and plain bit packing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import BitstreamError, InputError

Shape = tuple[int, int, int]
"""Channels C, quantizers N, frames T of an array of codes."""


class Coder(Protocol):
    """Turns codes [C, N, T] into bytes and back, each packet on its own.

    Row n holds codes in [0, codebook_sizes[n]); there are exactly N sizes. The same codes must give the same
    bytes on every machine, so no step may depend on floating point.
    """

    def encode(self, codes: NDArray[np.integer[Any]], codebook_sizes: Sequence[int]) -> bytes:
        """Encode codes [C, N, T] to bytes; InputError when one is outside its codebook."""
        ...

    def decode(self, data: bytes, shape: Shape, codebook_sizes: Sequence[int]) -> NDArray[np.int64]:
        """Read codes [C, N, T] back; BitstreamError for any bytes that `encode` cannot have written."""
        ...


class PlainCoder:
    """Every code in ceil(log2 K) bits: rows outermost, then channels, then frames; zero bits at the end."""

    def encode(self, codes: NDArray[np.integer[Any]], codebook_sizes: Sequence[int]) -> bytes:
        """Pack codes [C, N, T]; InputError names the first row with a code outside its codebook."""
        check_codes(codes, codebook_sizes)
        rows = codes.transpose(1, 0, 2)  # [N, C, T]
        parts = [to_bits(rows[start:stop].reshape(-1), width) for start, stop, width in _runs(codebook_sizes)]
        return np.packbits(np.concatenate(parts)).tobytes()

    def decode(self, data: bytes, shape: Shape, codebook_sizes: Sequence[int]) -> NDArray[np.int64]:
        """Unpack codes [C, N, T]; BitstreamError for a wrong size, a code out of range, non-zero filling."""
        size = plain_size(shape, codebook_sizes)
        if len(data) != size:
            raise BitstreamError(f"{len(data)} bytes of packed codes where their shape {shape} needs {size}")
        channels, num_quantizers, frames = shape
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        rows = np.empty((num_quantizers, channels, frames), np.int64)
        used = 0
        for start, stop, width in _runs(codebook_sizes):
            count = (stop - start) * channels * frames
            values = from_bits(bits[used : used + count * width], width, count)
            rows[start:stop] = values.reshape(stop - start, channels, frames)
            used += count * width
        if bits[used:].any():
            raise BitstreamError("the bits that fill up the last byte are not zero")
        codes = rows.transpose(1, 0, 2)
        row = _row_out_of_range(codes, codebook_sizes)
        if row is not None:
            raise BitstreamError(
                f"row {row} holds a code outside its codebook of {codebook_sizes[row]} entries"
            )
        return np.ascontiguousarray(codes)


CODERS: dict[int, type[Coder]] = {0: PlainCoder}
"""Entropy coders by the number the header gives them. A number is never used for anything else again."""


def plain_size(shape: Shape, codebook_sizes: Sequence[int]) -> int:
    """Bytes that `PlainCoder` needs for codes of this shape (C, N, T)."""
    channels, _, frames = shape
    return (channels * frames * sum((size - 1).bit_length() for size in codebook_sizes) + 7) // 8


def check_codes(codes: NDArray[np.integer[Any]], codebook_sizes: Sequence[int]) -> None:
    """Check codes [C, N, T]: integers, one row for each codebook, all inside it; InputError otherwise."""
    if codes.ndim != 3 or codes.dtype.kind not in "iu":
        raise InputError(f"codes must be integers [C, N, T], got {codes.dtype} of shape {codes.shape}")
    if codes.shape[1] != len(codebook_sizes):
        raise InputError(f"codes have {codes.shape[1]} rows for {len(codebook_sizes)} codebooks")
    row = _row_out_of_range(codes, codebook_sizes)
    if row is not None:
        values = codes[:, row]
        raise InputError(
            f"codes of row {row} run from {values.min()} to {values.max()}, "
            f"allowed are 0 to {codebook_sizes[row] - 1}"
        )


def _row_out_of_range(codes: NDArray[np.integer[Any]], codebook_sizes: Sequence[int]) -> int | None:
    """The first row of codes [C, N, T] with an entry outside its codebook, or None."""
    if codes.size == 0:
        return None
    sizes = np.asarray(codebook_sizes, np.int64)
    lowest, highest = codes.min(axis=(0, 2)), codes.max(axis=(0, 2))  # [N]
    bad = (lowest < 0) | (highest >= sizes)
    return int(bad.argmax()) if bad.any() else None


def _runs(codebook_sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Neighboring rows of equal width as (first row, row after the last, bits), packed in one go."""
    start = 0
    for width, group in groupby((size - 1).bit_length() for size in codebook_sizes):
        stop = start + len(list(group))
        yield start, stop, width
        start = stop


def to_bits(values: NDArray[np.integer[Any]], width: int) -> NDArray[np.uint8]:
    """Values [n] as zeros and ones [n * width], most significant bit first; `width` is at most 32."""
    if width == 0:
        return np.zeros(0, np.uint8)
    word = _word(width)
    bits = np.unpackbits(values.astype(word).view(np.uint8).reshape(-1, word.itemsize), axis=1)
    return bits[:, bits.shape[1] - width :].reshape(-1)


def from_bits(bits: NDArray[np.uint8], width: int, count: int) -> NDArray[np.int64]:
    """Read `count` values [count] back from zeros and ones [count * width]."""
    if width == 0:
        return np.zeros(count, np.int64)
    word = _word(width)
    padded = np.zeros((count, 8 * word.itemsize), np.uint8)
    padded[:, padded.shape[1] - width :] = bits.reshape(count, width)
    return np.packbits(padded, axis=1).view(word).reshape(-1).astype(np.int64)


def _word(width: int) -> np.dtype[Any]:
    """The smallest big-endian unsigned integer that holds `width` bits."""
    return np.dtype(">u1" if width <= 8 else ">u2" if width <= 16 else ">u4")
