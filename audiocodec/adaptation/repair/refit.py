"""Entries fitted to the residuals of an environment: those that clean speech misses least make room.

Stage by stage: what the new earlier stages leave of the environment and of clean speech is known, so each
stage is fitted to what it will see. Which entries move is decided by their regret: how much the error of
clean speech grows without them. Entries that nobody uses have none and go first.

Where they move: ten minutes of sound are some twenty vectors an entry, too few for 128 numbers each (k-means
on them alone leaves more error on other sound of the environment than the codebook it replaces). The map
between Gaussians that carries the old residuals to the new ones at least cost (Olkin and Pukelsheim 1982,
https://doi.org/10.1016/0024-3795(82)90112-4) has D (D + 3) / 2 numbers for all entries together. Applied to
the whole codebook it keeps what that knows beyond covariances; its clusters, by use in the environment, are
where the movable entries start. Lloyd's iterations follow, in competition with the frozen ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from audiocodec.quantizers.codebook import (
    chunk_rows,
    cluster_counts,
    cluster_sums,
    nearest,
    sample_rows,
    scores,
)

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.adaptation.repair.stack import Stack

CLUSTER_ITERATIONS = 5
LLOYD_ITERATIONS = 2
PRIOR = 20.0
"""An entry counts its start as so many vectors: vectors of a cluster differ by far more than starts err."""
RIDGE = 1e-3
"""Of covariances, in units of the mean variance: directions that old residuals hardly had do not blow up."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Codebooks fitted anew.

    Attributes:
        stack: with the new entries.
        moved: mask [K] of each stage: entries that may differ from those before.
    """

    stack: Stack
    moved: tuple[Tensor, ...]


def refit(
    stack: Stack,
    rows: Tensor,
    clean: Tensor,
    stages: Sequence[int],
    fraction: float,
    rng: torch.Generator,
    progress: Callable[[float], None] = lambda share: None,
) -> Fit:
    """Fit a `fraction` of the entries of `stages` to latents `rows` [N, D] of an environment.

    `clean` [M, D] are latents of what the codebooks must not lose. Stages that are not named stay as they
    are.
    """
    residual, kept, before = stack.inward(rows), stack.inward(clean), stack.inward(clean)
    entries, moved = list(stack.entries), list[torch.Tensor]()
    for number, present in enumerate(stack.entries):
        if number in stages:
            fitted, free = _fit_stage(present, residual, kept, before, fraction, rng)
            entries[number] = fitted
        else:
            free = torch.zeros(len(present), dtype=torch.bool)
        moved.append(free)
        before = before - present[nearest(before, present)]
        residual = residual - entries[number][nearest(residual, entries[number])]
        kept = kept - entries[number][nearest(kept, entries[number])]
        progress((number + 1) / len(entries))
    return Fit(stack.with_entries(entries), tuple(moved))


def regret(vectors: Tensor, entries: Tensor) -> Tensor:
    """By how much [K] the error of vectors [N, D] grows without an entry: they take the second best."""
    total = torch.zeros(len(entries))
    for chunk in vectors.split(chunk_rows(len(entries))):
        best = scores(chunk, entries).topk(2, dim=1, largest=False)
        total.index_add_(0, best.indices[:, 0], 2 * (best.values[:, 1] - best.values[:, 0]))
    return total


def gaussian_map(old: Tensor, new: Tensor) -> Callable[[Tensor], Tensor]:
    """The affine map that carries a Gaussian fitted to `old` [N, D] to one fitted to `new` at least cost."""
    mean_old, mean_new = old.mean(dim=0), new.mean(dim=0)
    root, inverse = _powers(_covariance(old))
    middle, _ = _powers(root @ _covariance(new) @ root)
    matrix = (inverse @ middle @ inverse).float()
    return lambda rows: (rows - mean_old) @ matrix + mean_new


def _fit_stage(
    present: Tensor, residual: Tensor, kept: Tensor, before: Tensor, fraction: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """New entries [K, D] and the mask [K] of those that moved."""
    movable = max(1, min(round(fraction * len(present)), len(present)))
    carried = gaussian_map(before, residual)(present)
    if movable == len(present):
        start, free = carried, torch.ones(len(present), dtype=torch.bool)
    else:
        free = torch.zeros(len(present), dtype=torch.bool)
        free[regret(kept, present).argsort(stable=True)[:movable]] = True
        start = present.clone()
        start[free] = _clusters(
            carried, cluster_counts(nearest(residual, carried), len(carried)), movable, rng
        )
    for _ in range(LLOYD_ITERATIONS):
        indices = nearest(residual, start)
        start = _posterior(residual, indices, start, free)
    return start, free


def _clusters(entries: Tensor, use: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Middles [count, D] of clusters of `entries` [K, D], each weighing as much as its `use` [K]."""
    weights = use + 0.1  # those that were not used in this sound may be in the next
    middles = entries[torch.multinomial(weights, count, generator=rng)].clone()
    for _ in range(CLUSTER_ITERATIONS):
        indices = nearest(entries, middles)
        sums, _ = cluster_sums(entries * weights[:, None], indices, count)
        totals = torch.zeros(count).index_add_(0, indices, weights)
        middles = torch.where((totals > 0)[:, None], sums / totals.clamp(min=1e-6)[:, None], middles)
    return middles


def _posterior(vectors: Tensor, indices: Tensor, present: Tensor, free: Tensor) -> Tensor:
    """Free entries at the mean of their vectors and of PRIOR copies of where they were; others stay."""
    sums, counts = cluster_sums(vectors, indices, len(present))
    means = (sums + PRIOR * present) / (counts + PRIOR)[:, None]
    return torch.where(free[:, None], means, present)


def _covariance(rows: Tensor) -> Tensor:
    rows = rows.double()
    covariance = torch.cov(rows.t())
    return covariance + RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.double)


def _powers(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Square root and its inverse of a symmetric positive matrix [D, D]."""
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp(min=1e-12)
    return (vectors * values.sqrt()) @ vectors.t(), (vectors * values.rsqrt()) @ vectors.t()


def thin(rows: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """At most `count` of the rows [N, D], drawn without repetition."""
    return rows if len(rows) <= count else sample_rows(rows, count, rng)
