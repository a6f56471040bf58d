"""What a step is given: all that is random in it, made from (seed, step, rank) alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from audiocodec.training.augment import Scenes
from audiocodec.training.data.batch import step_rng

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from audiocodec.training.augment import Augmenter
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.data.batch import Sampler


SHARED = 2**32 - 1
"""A rank that no process has, for what all processes draw alike."""


class Drawn(NamedTuple):
    """What one forward pass is given.

    Attributes:
        seed: of torch's generators.
        scenes: what the model hears and is to give back.
        num_quantizers: [B], one an example.
        chance: from 0 to 1, the same on all ranks.
    """

    seed: int
    scenes: Scenes
    num_quantizers: Tensor
    chance: float


class Feed:
    """Draws what the steps of a run are given; safe to call from other threads, ahead of time."""

    def __init__(
        self,
        config: TrainConfig,
        sampler: Sampler,
        prefixes: Sequence[int],
        rank: int = 0,
        augmenter: Augmenter | None = None,
    ) -> None:
        """For a quantizer that offers `prefixes`; ranks draw different batches."""
        self.config, self.sampler, self.rank, self.augmenter = config, sampler, rank, augmenter
        self.prefixes = np.array(prefixes)
        self.favored = np.array(config.prefix_choices or prefixes)

    def __call__(self, step: int) -> list[Drawn]:
        """Draw step `step`: one item for each batch whose gradients are accumulated."""
        count = self.config.accumulate
        return [self._draw(step, step * count + number) for number in range(count)]

    def _draw(self, step: int, number: int) -> Drawn:
        rng = step_rng(self.config.seed, number, self.rank)
        seed = int(rng.integers(2**62))
        batch = self.sampler.draw(rng, number)
        num_quantizers = self.draw_prefixes(rng, len(batch.wav))
        chance = step_rng(self.config.seed, number, SHARED).random()
        if self.augmenter is None:
            return Drawn(seed, Scenes(batch.wav, batch.wav, ()), num_quantizers, chance)
        # Last, so that recipes with and without noise draw the same speech.
        return Drawn(seed, self.augmenter(batch, rng, step), num_quantizers, chance)

    def draw_prefixes(self, rng: np.random.Generator, batch_size: int) -> Tensor:
        """Numbers of quantizers [B], one an example: quantizer dropout as in DAC, section 3.2."""
        anywhere = rng.choice(self.prefixes, batch_size)
        favored = rng.choice(self.favored, batch_size)
        return torch.from_numpy(np.where(rng.random(batch_size) < 0.5, anywhere, favored))
