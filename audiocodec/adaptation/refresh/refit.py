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

`follow_online` lets entries follow the sound as it comes instead: the moving averages of VQ-VAE
(https://arxiv.org/abs/1711.00937, A.1), given the codes that the encoder's search chooses, with a step that
is bounded in every window. No entry leaves its place at once, so a codebook forgets slowly, if at all, and
the fit can be stopped after any window.
"""

from __future__ import annotations

import math
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

    from audiocodec.adaptation.refresh.stack import Stack


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
    vectors: Tensor,
    clean: Tensor,
    stages: Sequence[int],
    fraction: float,
    rng: torch.Generator,
    progress: Callable[[float], None] = lambda share: None,
) -> Fit:
    """Fit a `fraction` of the entries of `stages` to latents `vectors` [N, D] of an environment.

    `clean` [M, D] are latents of what the codebooks must not lose. Stages that are not named stay as they
    are.
    """
    residual, kept, before = stack.inward(vectors), stack.inward(clean), stack.inward(clean)
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
    return lambda vectors: (vectors - mean_old) @ matrix + mean_new


def _fit_stage(
    present: Tensor, residual: Tensor, kept: Tensor, before: Tensor, fraction: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """New entries [K, D] and the mask [K] of those that moved."""
    free = _least_missed(kept, present, fraction)
    carried = gaussian_map(before, residual)(present)
    use = cluster_counts(nearest(residual, carried), len(carried))
    start = present.clone()
    start[free] = _clusters(carried, use, int(free.sum()), rng)
    for _ in range(LLOYD_ITERATIONS):
        indices = nearest(residual, start)
        start = _posterior(residual, indices, start, free)
    return start, free


def _least_missed(clean: Tensor, entries: Tensor, fraction: float) -> Tensor:
    """Mask [K] of the `fraction` of the entries, at least one, that clean vectors [M, D] miss least."""
    count = max(1, min(round(fraction * len(entries)), len(entries)))
    free = torch.zeros(len(entries), dtype=torch.bool)
    free[regret(clean, entries).argsort(stable=True)[:count]] = True
    return free


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


def _covariance(vectors: Tensor) -> Tensor:
    vectors = vectors.double()
    covariance = torch.cov(vectors.t())
    return covariance + RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.double)


def _powers(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Square root and its inverse of a symmetric positive matrix [D, D]."""
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp(min=1e-12)
    return (vectors * values.sqrt()) @ vectors.t(), (vectors * values.rsqrt()) @ vectors.t()


def thin(vectors: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """At most `count` of the vectors [N, D], drawn without repetition."""
    return vectors if len(vectors) <= count else sample_rows(vectors, count, rng)


DECAY = 0.95
"""Of the averages, a window: they remember some 20 windows."""
LARGEST_STEP = 0.05
"""Of an entry in one window, in units of the root mean square norm of its codebook."""


class OnlineFit:
    """Codebooks on their way; `stack` is what they are now."""

    def __init__(self, stack: Stack, movable: Sequence[Tensor], largest_step: float = LARGEST_STEP) -> None:
        """Start from `stack`; only entries in the masks `movable` [K], one a stage, ever move."""
        self.stack, self.movable, self.largest_step = stack, tuple(movable), largest_step
        self._counts = [torch.full((len(entry),), PRIOR) for entry in stack.entries]
        self._sums = [PRIOR * entry for entry in stack.entries]

    @property
    def fit(self) -> Fit:
        """What has come of it so far."""
        return Fit(self.stack, self.movable)

    def update(self, vectors: Tensor) -> None:
        """Follow the latents [N, D] of one window; codes are those of the encoder's search."""
        codes = self.stack.search(vectors)
        residual = self.stack.inward(vectors)
        entries = list(self.stack.entries)
        for stage, entry in enumerate(self.stack.entries):
            chosen = codes[:, stage]
            sums, counts = cluster_sums(residual, chosen, len(entry))
            # Entries without a vector keep average and weight: nothing was learnt of where they belong.
            seen = (counts > 0).float() * (1 - DECAY)
            self._sums[stage] = self._sums[stage] * (1 - seen)[:, None] + sums
            self._counts[stage] = self._counts[stage] * (1 - seen) + counts
            entries[stage] = self._step(stage, entry)
            residual = residual - entry[chosen]
        self.stack = self.stack.with_entries(entries)

    def _step(self, stage: int, entry: Tensor) -> Tensor:
        wanted = self._sums[stage] / self._counts[stage][:, None] - entry
        bound = self.largest_step * entry.square().sum(dim=1).mean().sqrt()
        wanted = wanted * (bound / wanted.norm(dim=1).clamp(min=1e-12)).clamp(max=1.0)[:, None]
        return torch.where(self.movable[stage][:, None], entry + wanted, entry)


def follow_online(
    stack: Stack,
    windows: Sequence[Tensor],
    clean: Tensor,
    stages: Sequence[int],
    fraction: float,
    progress: Callable[[float], None] = lambda share: None,
) -> Fit:
    """Follow windows of latents [N, D] in their order, a window of `clean` [M, D] after each of them.

    Movable is the `fraction` of the entries of `stages` that clean speech misses least.
    """
    kept = stack.inward(clean)
    movable: list[Tensor] = []
    for number, entry in enumerate(stack.entries):
        stays = torch.zeros(len(entry), dtype=torch.bool)
        movable.append(_least_missed(kept, entry, fraction) if number in stages else stays)
        kept = kept - entry[nearest(kept, entry)]
    online = OnlineFit(stack, movable)
    size = max(1, math.ceil(len(clean) / max(len(windows), 1)))
    between = clean.split(size)
    for number, window in enumerate(windows):
        online.update(window)
        if number < len(between):
            online.update(between[number])
        progress((number + 1) / len(windows))
    return online.fit
