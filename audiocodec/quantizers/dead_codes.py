"""Unused entries of a codebook: which count as dead, and where they are placed again."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from audiocodec.quantizers.codebook import chunk_rows, sample_rows
from audiocodec.ranks import from_first_rank, gather_rows

DeadCodePolicy = Literal["none", "random", "anchor", "split"]

CHECK_EVERY = 5
"""Training steps between two searches for dead entries (Mimi's number)."""

SPLIT_SPREAD = 0.01
"""Deviation of a new entry from the entry that it splits, relative to the deviation of all in use."""

MAX_CANDIDATES = 65536
"""Vectors of all ranks that replacements are picked from."""


def revive(
    policy: DeadCodePolicy, threshold: float, entries: Tensor, usage: Tensor, vectors: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Where to place dead entries: their indices [M], new places [M, D], and the indices of entries split.

    `usage` [K] is changed to what the entries are expected to have from now on.
    """
    dead = find_dead(usage, threshold)
    if policy == "split":
        indices, parents, places = split_most_used(entries, usage, dead)
        usage[parents] *= 0.5
        usage[indices] = usage[parents]
        return indices, places, parents
    indices = dead.nonzero()[:, 0]
    places = replacements(policy, vectors, entries[indices]) if len(indices) else entries[indices]
    usage[indices] = usage.mean()
    return indices, places, indices[:0]


def find_dead(usage: Tensor, threshold: float) -> Tensor:
    """Mask [K] of entries whose average use is below `threshold` times the mean, whatever the batch size."""
    return usage < threshold * usage.mean()


def replacements(policy: DeadCodePolicy, vectors: Tensor, dead_entries: Tensor) -> Tensor:
    """New places for `dead_entries` [M, D]: random vectors of all ranks, or the vector closest to each."""
    candidates = gather_rows(vectors)
    if candidates.shape[0] > MAX_CANDIDATES:
        candidates = sample_rows(candidates, MAX_CANDIDATES)
    if not candidates.shape[0]:
        return dead_entries
    if policy == "anchor":
        return from_first_rank(candidates[closest_vectors(candidates, dead_entries)])
    return from_first_rank(sample_rows(candidates, dead_entries.shape[0]))


def split_most_used(entries: Tensor, usage: Tensor, dead: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Indices [M] of dead entries, indices [M] of the most used ones, and new places [M, D] beside those.

    Linde, Buzo and Gray grow codebooks like this (1980, https://doi.org/10.1109/TCOM.1980.1094577). In many
    dimensions an entry at a single vector of the batch is nearest to few others, as the middle of their
    cluster is nearer; two entries in the middle share the cluster. Each entry is split at most once, so if
    fewer than half are alive, some dead ones stay.
    """
    places = dead.nonzero()[:, 0]
    places = places[: len(usage) - len(places)]
    parents = usage.topk(len(places)).indices
    start, alive = entries[parents], entries[~dead]
    spread = SPLIT_SPREAD * ((alive - alive.mean(dim=0)).square().mean(dim=0).sqrt() + 0.1 * start.abs())
    return places, parents, from_first_rank(start + spread * torch.randn_like(start))


def closest_vectors(vectors: Tensor, entries: Tensor) -> Tensor:
    """Index [M] of the vector of [N, D], N > 0, closest to each of `entries` [M, D], in bounded memory."""
    best: list[tuple[Tensor, Tensor]] = []
    offset = 0
    norms = 0.5 * vectors.square().sum(dim=1)
    rows = chunk_rows(entries.shape[0])
    for chunk, norm in zip(vectors.split(rows), norms.split(rows), strict=True):
        # |z|^2 / 2 - z.c ranks vectors for each entry as `scores` ranks entries for each vector.
        value, index = torch.addmm(norm[:, None], chunk, entries.t(), alpha=-1).min(dim=0)
        best.append((value, index + offset))
        offset += chunk.shape[0]
    which = torch.stack([value for value, _ in best]).argmin(dim=0)
    return torch.stack([index for _, index in best]).gather(0, which[None])[0]


def anchor_shares(usage: Tensor, decay: float = 0.99) -> Tensor:
    """How far each entry moves to its anchor, from its average relative frequency `usage` [K].

    Zheng and Vedaldi 2023, https://arxiv.org/abs/2307.15139: exp(-10 K p / (1 - decay) - 1e-3).
    """
    return torch.exp(-10 * usage.shape[0] * usage / (1 - decay) - 1e-3)
