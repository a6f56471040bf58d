"""What a step is given: all that is random in it, made from (seed, step, rank) alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from audiocodec.training.augment import Scenes
from audiocodec.training.data.sampler import step_rng

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from audiocodec.training.augment import Augmenter
    from audiocodec.training.data.sampler import Sampler


SHARED = 2**32 - 1
"""A rank that no process has, for random numbers that are the same on all processes."""


class PassInput(NamedTuple):
    """What one forward pass is given.

    Attributes:
        seed: of torch's generators.
        scenes: input and target of the model.
        num_quantizers: [B], one for each example.
        chance: from 0 to 1, the same on all ranks.
    """

    seed: int
    scenes: Scenes
    num_quantizers: Tensor
    chance: float


class Feed:
    """Makes the inputs of the steps of a run; safe to call from other threads, ahead of time."""

    def __init__(
        self,
        sampler: Sampler,
        prefixes: Sequence[int],
        favored: Sequence[int] = (),
        *,
        seed: int = 0,
        accumulate: int = 1,
        rank: int = 0,
        augmenter: Augmenter | None = None,
    ) -> None:
        """Feed a quantizer that offers `prefixes`; half of the examples use one of `favored`, if any.

        A step has `accumulate` passes; ranks get different batches.
        """
        self.sampler, self.rank, self.augmenter = sampler, rank, augmenter
        self.seed, self.accumulate = seed, accumulate
        self.prefixes, self.favored = np.array(prefixes), np.array(favored or prefixes)

    def __call__(self, step: int) -> list[PassInput]:
        """Make the inputs of step `step`: one for each batch whose gradients are accumulated."""
        return [self._make(step, step * self.accumulate + number) for number in range(self.accumulate)]

    def _make(self, step: int, number: int) -> PassInput:
        rng = step_rng(self.seed, number, self.rank)
        seed = int(rng.integers(2**62))
        batch = self.sampler.draw(rng, number)
        num_quantizers = self.draw_num_quantizers(rng, len(batch.wav))
        chance = step_rng(self.seed, number, SHARED).random()
        if self.augmenter is None:
            return PassInput(seed, Scenes(batch.wav, batch.wav, ()), num_quantizers, chance)
        # Last, so that recipes with and without noise draw the same speech.
        return PassInput(seed, self.augmenter(batch, rng, step), num_quantizers, chance)

    def draw_num_quantizers(self, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Numbers of quantizers [B], one for each example: quantizer dropout as in DAC, section 3.2."""
        anywhere = rng.choice(self.prefixes, batch_size)
        favored = rng.choice(self.favored, batch_size)
        return torch.from_numpy(np.where(rng.random(batch_size) < 0.5, anywhere, favored))
