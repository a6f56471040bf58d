"""What a step minimizes: from an output of the model to losses, and from losses to gradients."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiocodec.losses.reconstruction import ReconstructionLoss, weighted_sum
from audiocodec.training.adversarial import ADVERSARIAL_LOSSES
from audiocodec.training.balancer import Balancer
from audiocodec.training.engine.opponent import Opponent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiocodec.model import ModelOutput
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.engine.feed import Drawn
    from audiocodec.training.engine.processes import Processes


class Objective:
    """Losses at the output of the decoder, the commitment loss beside them, and how they are weighted.

    Attributes:
        reconstruction: from (estimate, reference) [B, L] to losses by name.
        opponent: the discriminators; None without adversarial training.
        balancer: sets the shares of the losses in the gradient; None where weights do.
        names: of losses in the log that every process has at the same steps.
    """

    def __init__(self, config: TrainConfig, processes: Processes) -> None:
        """Build what a recipe says."""
        self.config, self.device = config, processes.device
        self.weights = config.loss.weights
        self.reconstruction = ReconstructionLoss(config.loss, config.model.sample_rate).to(processes.device)
        self.opponent = Opponent(config, processes) if config.adversarial.enabled else None
        self.balancer = build_balancer(config)
        self.names = (*config.loss.weights, *ADVERSARIAL_LOSSES, "discriminator", "total")

    def backward(
        self, output: ModelOutput, reference: Tensor, drawn: Drawn, step: int, share: float
    ) -> dict[str, Tensor]:
        """Add `share` of the gradients of one batch to those of all parameters; gives the losses by name.

        `reference` [B, 1, L] is what the output should be. Losses are differentiated with respect to the
        output alone, then the rest of the model is passed through once.
        """
        estimate = output.wav.detach().float().requires_grad_()
        reference = reference[..., : estimate.shape[-1]]
        losses: dict[str, Tensor] = self.reconstruction(estimate[:, 0], reference[:, 0])
        weights = dict(self.weights)
        told = dict[str, Tensor]()
        if self.opponent is not None and self.opponent.config.asked(step):
            with autocast(self.config, self.device):
                judged = self.opponent.judge(estimate, reference, drawn, share)
            told["discriminator"] = judged.pop("discriminator")
            losses |= judged
            weights |= self.opponent.weights(step)
        gradient = self._gradient(losses, estimate, weights, step)
        commitment = weights.get("commitment", 0.0) * output.loss
        roots = [
            (output.wav, (share * gradient).to(output.wav.dtype)),
            (commitment, commitment.new_full((), share)),
        ]
        learning = [root for root in roots if root[0].requires_grad]
        torch.autograd.backward([root for root, _ in learning], [gradient for _, gradient in learning])
        losses["commitment"] = output.loss
        if self.opponent is not None and self.config.adversarial.share:
            told["adversarial_scale"] = self.opponent.adversary.scale()
        return losses | told | {"total": weighted_sum(losses, weights)}

    def zero_grad(self) -> None:
        """Forget the discriminators' gradients of the last step."""
        if self.opponent is not None:
            self.opponent.optimizer.zero_grad(set_to_none=True)

    def clip(self) -> dict[str, Tensor]:
        """Make the discriminators' gradients ready for `learn`; gives their norm."""
        norm = self.opponent.clip() if self.opponent is not None else None
        return {} if norm is None else {"discriminator_grad_norm": norm}

    def learn(self) -> None:
        """Let the discriminators take their step."""
        if self.opponent is not None:
            self.opponent.optimizer.step()

    def _gradient(
        self, losses: Mapping[str, Tensor], estimate: Tensor, weights: Mapping[str, float], step: int
    ) -> Tensor:
        if self.balancer is not None:
            return self.balancer.gradient(losses, estimate, weights)[0]
        if self.opponent is None or not self.config.adversarial.share:
            return _of_sum(losses, estimate, weights)
        against = {name: losses[name] for name in ADVERSARIAL_LOSSES if name in losses}
        rest = {name: loss for name, loss in losses.items() if name not in against}
        gradient, strength = _of_sum(rest, estimate, weights), self.config.adversarial.strength(step)
        if not against or not strength:
            return gradient
        adversarial = _of_sum(against, estimate, self.config.adversarial.weights)
        self.opponent.adversary.follow(gradient, adversarial)
        return gradient + strength * self.opponent.adversary.scale() * adversarial


def _of_sum(losses: Mapping[str, Tensor], estimate: Tensor, weights: Mapping[str, float]) -> Tensor:
    counting = {name: loss for name, loss in losses.items() if weights.get(name, 0.0) > 0}
    if not counting:
        return torch.zeros_like(estimate)
    return torch.autograd.grad(weighted_sum(counting, weights), estimate)[0]


def autocast(config: TrainConfig, device: torch.device) -> torch.autocast | nullcontext[None]:
    """The number type that a recipe computes nets in."""
    if config.autocast == "none":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def build_balancer(config: TrainConfig) -> Balancer | None:
    """Build the balancer of a recipe that has one."""
    if not config.balancer.enabled:
        return None
    weights = {**config.loss.weights, **config.adversarial.weights}
    weights.pop("commitment", None)
    return Balancer(weights, config.balancer.total_norm, config.balancer.ema_decay)
