"""How well the entries of a codebook are used, how stable the codes are, and what they lose."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError


def entropy(indices: NDArray[np.integer], codebook_size: int) -> float:
    """Empirical entropy of indices (any shape) in bits per index: what an ideal coder without memory pays.

    Raises:
        MetricError: no indices, or one outside [0, codebook_size).
    """
    shares = _counts(indices, codebook_size) / indices.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0.0


def perplexity(indices: NDArray[np.integer], codebook_size: int) -> float:
    """Number of entries that, used equally, would have the entropy of these indices: 1 to codebook_size.

    Raises:
        MetricError: as `entropy`.
    """
    return math.exp2(entropy(indices, codebook_size))


def usage(indices: NDArray[np.integer], codebook_size: int) -> float:
    """Fraction of the entries that appear at least once: 0 to 1.

    Raises:
        MetricError: as `entropy`.
    """
    return float((_counts(indices, codebook_size) > 0).mean())


def stage_perplexity(codes: NDArray[np.integer], codebook_sizes: Sequence[int]) -> tuple[float, ...]:
    """`perplexity` of every row of codes [..., N, T].

    Raises:
        MetricError: as `entropy`, or the rows are not as many as the sizes.
    """
    return tuple(perplexity(row, size) for row, size in _rows(codes, codebook_sizes))


def stage_usage(codes: NDArray[np.integer], codebook_sizes: Sequence[int]) -> tuple[float, ...]:
    """`usage` of every row of codes [..., N, T].

    Raises:
        MetricError: as `entropy`, or the rows are not as many as the sizes.
    """
    return tuple(usage(row, size) for row, size in _rows(codes, codebook_sizes))


def token_flip_rate(reference: NDArray[np.integer], estimate: NDArray[np.integer]) -> float:
    """Fraction of codes [..., N, T] that differ: how much noise changes what a codec writes; 0 to 1.

    Two recordings of one thing may differ by a frame at the end; the longer one is cut.

    Raises:
        MetricError: no codes, other numbers of rows, or lengths that differ by more than a frame.
    """
    if not reference.size or not estimate.size:
        raise MetricError("no codes; encode some audio first")
    if reference.shape[:-1] != estimate.shape[:-1] or abs(reference.shape[-1] - estimate.shape[-1]) > 1:
        raise MetricError(
            f"codes {reference.shape} and {estimate.shape} are not of the same audio and bitrate"
        )
    length = min(reference.shape[-1], estimate.shape[-1])
    if not length:
        raise MetricError("no codes in common; encode longer audio")
    return float((reference[..., :length] != estimate[..., :length]).mean())


def quantization_error(latents: NDArray[np.floating], quantized: NDArray[np.floating]) -> float:
    """Share of the energy of latents [..., D, T] that quantization loses, means of the D dimensions removed.

    Normalized mean squared error: 0 is lossless, 1 is as good as the mean alone. In dB of signal to
    quantization noise it is -10 log10 of this.

    Raises:
        MetricError: shapes differ, nothing there, not finite, or the latents never change.
    """
    if latents.shape != quantized.shape or latents.ndim < 2 or not latents.size:
        raise MetricError(
            f"latents {latents.shape} and quantized {quantized.shape}: give both as [..., D, T]"
        )
    before = np.moveaxis(latents.astype(np.float64), -2, -1).reshape(-1, latents.shape[-2])
    after = np.moveaxis(quantized.astype(np.float64), -2, -1).reshape(before.shape)
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise MetricError("latents or quantized have values that are not finite numbers")
    energy = float(((before - before.mean(axis=0)) ** 2).sum())
    if not energy:
        raise MetricError("the latents never change; encode audio with sound in it")
    return float(((before - after) ** 2).sum()) / energy


def _rows(
    codes: NDArray[np.integer], codebook_sizes: Sequence[int]
) -> Iterator[tuple[NDArray[np.integer], int]]:
    if codes.ndim < 2 or codes.shape[-2] != len(codebook_sizes):
        raise MetricError(f"codes {codes.shape}: expected [..., N, T] with N = {len(codebook_sizes)}")
    yield from zip(np.moveaxis(codes, -2, 0), codebook_sizes, strict=True)


def _counts(indices: NDArray[np.integer], codebook_size: int) -> NDArray[np.int64]:
    if not indices.size:
        raise MetricError("no indices; encode some audio first")
    low, high = int(indices.min()), int(indices.max())
    if low < 0 or high >= codebook_size:
        raise MetricError(f"indices from {low} to {high} lie outside a codebook of {codebook_size} entries")
    return np.bincount(indices.ravel(), minlength=codebook_size)
