"""Operations on one codebook [K, D]: nearest entries, k-means, and what its use tells."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_ELEMENTS = 1 << 24
"""Distances held at a time: 64 MB in single precision, whatever the number of vectors."""


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Index [N] of the entry of `codebook` [K, D] nearest to each of `vectors` [N, D], in chunks of bounded memory."""
    half_norm = 0.5 * codebook.square().sum(dim=1)
    rows = max(1, CHUNK_ELEMENTS // codebook.shape[0])
    parts = [torch.addmm(half_norm, chunk, codebook.t(), alpha=-1).argmin(dim=1) for chunk in vectors.split(rows)]
    return torch.cat(parts) if parts else vectors.new_empty(0, dtype=torch.long)


def cluster_sums(vectors: Tensor, indices: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """Sum [K, D] and number [K] of the `vectors` [N, D] assigned to each entry by `indices` [N]."""
    sums = vectors.new_zeros(codebook_size, vectors.shape[1]).index_add_(0, indices, vectors)
    counts = torch.bincount(indices, minlength=codebook_size).to(vectors.dtype)
    return sums, counts


def sample_rows(vectors: Tensor, count: int) -> Tensor:
    """Draw `count` rows of `vectors` [N, D], without repetition while there are enough."""
    if count <= vectors.shape[0]:
        return vectors[torch.randperm(vectors.shape[0], device=vectors.device)[:count]]
    return vectors[torch.randint(vectors.shape[0], (count,), device=vectors.device)]


def kmeans(vectors: Tensor, codebook_size: int, iterations: int = 20) -> Tensor:
    """Fit a codebook [K, D] to `vectors` [N, D] by Lloyd's iterations; empty clusters restart at random vectors.

    Linde, Buzo and Gray 1980, https://doi.org/10.1109/TCOM.1980.1094577.
    """
    codebook = sample_rows(vectors, codebook_size).clone()
    for _ in range(iterations):
        sums, counts = cluster_sums(vectors, nearest(vectors, codebook), codebook_size)
        empty = counts == 0
        codebook = sums / counts.clamp(min=1)[:, None]
        codebook[empty] = sample_rows(vectors, int(empty.sum()))
    return codebook


def perplexity_and_usage(counts: Tensor) -> dict[str, Tensor]:
    """Effective number of entries in use, exp(entropy), and the fraction used at all, from counts [K]."""
    probabilities = counts / counts.sum().clamp(min=1)
    entropy = -torch.special.xlogy(probabilities, probabilities).sum()
    return {"perplexity": entropy.exp(), "usage": (counts > 0).float().mean()}


def lookup(codebook: Tensor, indices: Tensor) -> Tensor:
    """Entries of `codebook` [K, D] at `indices` [B, T] as [B, D, T]."""
    return F.embedding(indices, codebook).transpose(1, 2)
