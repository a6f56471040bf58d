"""Operations on one codebook [K, D]: nearest entries, k-means, and what its use tells."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from audiocodec.errors import ConfigError

CHUNK_ELEMENTS = 1 << 22
"""Distances held at a time: 16 MB in single precision, whatever the number of vectors."""

BLOCK = 32
"""Size of the blocks in which `least` looks for an index."""


def check_size(dim: int, codebook_size: int) -> None:
    """Refuse a codebook without entries or without width.

    Raises:
        ConfigError: names the field, its value and what is allowed.
    """
    for name, value in (("dim", dim), ("codebook_size", codebook_size)):
        if value < 1:
            raise ConfigError(f"{name} is {value}; allowed are whole numbers from 1")


def chunk_rows(codebook_size: int) -> int:
    """Vectors whose distances to all entries are held at a time."""
    return max(1, CHUNK_ELEMENTS // codebook_size)


def to_rows(latents: Tensor) -> Tensor:
    """Latents [B, D, T] -> vectors [B * T, D] in single precision."""
    return latents.transpose(1, 2).reshape(-1, latents.shape[1]).float()


def from_rows(rows: Tensor, like: Tensor) -> Tensor:
    """Vectors [B * T, D] -> latents [B, D, T], B and T being those of `like` [B, ..., T]."""
    return rows.view(like.shape[0], like.shape[2], rows.shape[1]).transpose(1, 2)


def scores(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Half the squared distances [N, K], less a number that is the same for a whole row: |c|^2 / 2 - v.c."""
    return torch.addmm(0.5 * codebook.square().sum(dim=1), vectors, codebook.t(), alpha=-1)


def squared_distances(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Squared distances [N, K] for one chunk of vectors; see `chunk_rows`."""
    return (2 * scores(vectors, codebook) + vectors.square().sum(dim=1, keepdim=True)).clamp(min=0)


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Index [N] of the entry of `codebook` [K, D] nearest to each of `vectors` [N, D], in bounded memory."""
    with torch.autocast(vectors.device.type, enabled=False):
        parts = [least(scores(chunk, codebook)) for chunk in vectors.split(chunk_rows(codebook.shape[0]))]
    return torch.cat(parts)


def least(values: Tensor) -> Tensor:
    """Index [N] of the least of each row of `values` [N, K], as `argmin`: of equal ones the first.

    On a CPU torch goes through a row number by number for an index, but by registers for a least value. To
    find the block with the least value first, then the place in it, takes a fifth of the time.
    """
    if values.device.type != "cpu" or values.shape[1] % BLOCK or not len(values):
        return values.argmin(dim=1)
    blocks = values.unflatten(1, (-1, BLOCK))
    block = blocks.amin(dim=2).argmin(dim=1, keepdim=True)
    inside = blocks.gather(1, block[:, :, None].expand(-1, -1, BLOCK))[:, 0].argmin(dim=1)
    return block[:, 0] * BLOCK + inside


def in_chunks(function: Callable[[Tensor], Tensor], vectors: Tensor, codebook_size: int) -> Tensor:
    """Concatenate `function(chunk) -> [n, ...]` over chunks of `vectors` [N, D].

    The backward pass computes each chunk again. So a function that holds [n, K] never holds more than one
    chunk, forward or backward.
    """
    chunks = vectors.split(chunk_rows(codebook_size))
    if len(chunks) == 1:
        return function(vectors)
    return torch.cat([checkpoint(function, chunk, use_reentrant=False) for chunk in chunks])


def cluster_sums(vectors: Tensor, indices: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """Sum [K, D] and number [K] of the `vectors` [N, D] assigned to each entry by `indices` [N]."""
    sums = vectors.new_zeros(codebook_size, vectors.shape[1]).index_add_(0, indices, vectors)
    return sums, cluster_counts(indices, codebook_size)


def cluster_counts(indices: Tensor, codebook_size: int) -> Tensor:
    """How often [K] each entry occurs in `indices` [N], as float."""
    counts = torch.zeros(codebook_size, device=indices.device)
    return counts.index_add_(0, indices, torch.ones_like(indices, dtype=counts.dtype))


def sample_rows(vectors: Tensor, count: int, rng: torch.Generator | None = None) -> Tensor:
    """Draw `count` rows of `vectors` [N, D], N > 0, without repetition while there are enough."""
    if count <= vectors.shape[0]:
        return vectors[torch.randperm(vectors.shape[0], generator=rng, device=vectors.device)[:count]]
    return vectors[torch.randint(vectors.shape[0], (count,), generator=rng, device=vectors.device)]


def kmeans(
    vectors: Tensor, codebook_size: int, iterations: int = 20, rng: torch.Generator | None = None
) -> Tensor:
    """Fit a codebook [K, D] to `vectors` [N, D], N > 0; empty clusters restart at random vectors.

    Lloyd's iterations: Linde, Buzo and Gray 1980, https://doi.org/10.1109/TCOM.1980.1094577.
    """
    codebook = sample_rows(vectors, codebook_size, rng).clone()
    for _ in range(iterations):
        sums, counts = cluster_sums(vectors, nearest(vectors, codebook), codebook_size)
        empty = counts == 0
        codebook = sums / counts.clamp(min=1)[:, None]
        if bool(empty.any()):
            codebook[empty] = sample_rows(vectors, int(empty.sum()), rng)
    return codebook


def perplexity_and_usage(counts: Tensor) -> dict[str, Tensor]:
    """Effective number of entries in use, exp(entropy), and the fraction used at all, from counts [K]."""
    probabilities = counts / counts.sum().clamp(min=1)
    entropy = -torch.special.xlogy(probabilities, probabilities).sum()
    return {"perplexity": entropy.exp(), "usage": (counts > 0).float().mean()}


def mean_square(difference: Tensor) -> Tensor:
    """Mean of squares; 0 for an empty tensor."""
    return difference.square().sum() / max(difference.numel(), 1)


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy in nats over the last dimension; the gradient stays finite at probability 0."""
    return -(probabilities * probabilities.clamp(min=1e-20).log()).sum(dim=-1)
