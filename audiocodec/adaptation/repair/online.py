"""Entries that follow the sound as it comes: moving averages, with a step that is bounded in every window.

The averages of VQ-VAE (https://arxiv.org/abs/1711.00937, A.1), given the codes that the encoder's search
chooses. No entry is taken from its place at once, so what a codebook knows is lost slowly, if at all, and can
be stopped after any window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from audiocodec.adaptation.repair.refit import Fit, regret
from audiocodec.quantizers.codebook import cluster_sums, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.adaptation.repair.stack import Stack

DECAY = 0.95
"""Of the averages, a window: they remember some 20 windows."""
LARGEST_STEP = 0.05
"""Of an entry in one window, in units of the root mean square norm of its codebook."""
PRIOR = 20.0
"""Vectors that an entry counts before it has seen any."""


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

    def update(self, rows: Tensor) -> None:
        """Follow the latents [N, D] of one window; codes are those of the encoder's search."""
        codes = self.stack.search(rows)
        residual = self.stack.inward(rows)
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


def follow(
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
        free = torch.zeros(len(entry), dtype=torch.bool)
        if number in stages:
            count = max(1, min(round(fraction * len(entry)), len(entry)))
            free[regret(kept, entry).argsort(stable=True)[:count]] = True
        movable.append(free)
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
