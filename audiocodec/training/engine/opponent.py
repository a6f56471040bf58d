"""The discriminators of a run, how they learn, and when the codec hears of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiocodec.training.adversarial import Adversary, crop

if TYPE_CHECKING:
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.engine.feed import Drawn
    from audiocodec.training.engine.processes import Processes


class Opponent:
    """Discriminators with an optimizer of their own; they learn in the same pass that judges the codec.

    Attributes:
        adversary: the discriminators.
        optimizer: theirs.
    """

    def __init__(self, config: TrainConfig, processes: Processes) -> None:
        """Build those of a recipe, at random."""
        self.config, self.processes = config.adversarial, processes
        self.adversary = Adversary(config.adversarial).to(processes.device)
        self.crop_length = round(self.config.crop_seconds * config.model.sample_rate)
        self.parameters = [p for p in self.adversary.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.config.learning_rate, betas=self.config.betas, fused=True
        )

    def judge(self, estimate: Tensor, reference: Tensor, drawn: Drawn, share: float) -> dict[str, Tensor]:
        """Losses of wavs [R * B, 1, L], [B, 1, L] by name, R renderings.

        `share` of the discriminators' own gradient is added to theirs.
        """
        generator = torch.Generator().manual_seed(drawn.seed)
        estimate, reference = crop(estimate, reference, self.crop_length, generator)
        losses = self.adversary(estimate, reference)
        if self._learns(drawn):
            (share * losses["discriminator"]).backward(inputs=self.parameters, retain_graph=True)
        return losses

    def weights(self, step: int) -> dict[str, float]:
        """Of the codec's losses in step `step`: they grow from 0."""
        strength = self.config.strength(step)
        return {name: strength * weight for name, weight in self.config.weights.items()}

    def clip(self) -> Tensor | None:
        """Average the discriminators' gradients over processes and cut them; their norm, None without any."""
        if all(parameter.grad is None for parameter in self.parameters):
            return None
        self.processes.average_gradients(self.parameters)
        return torch.nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)

    def _learns(self, drawn: Drawn) -> bool:
        return drawn.chance < self.config.update_share
