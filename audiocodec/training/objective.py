"""What a step minimizes: from an output of the model to losses, and from losses to gradients."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiocodec.losses.reconstruction import ReconstructionLoss, weighted_sum
from audiocodec.training.adversarial import ADVERSARIAL_LOSSES, Adversary
from audiocodec.training.balancer import Balancer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiocodec.losses.reconstruction import LossConfig
    from audiocodec.model import ModelOutput
    from audiocodec.training.adversarial import AdversarialConfig
    from audiocodec.training.balancer import BalancerConfig
    from audiocodec.training.processes import Processes


class Objective:
    """Losses at the output of the decoder, the commitment loss beside them, and how they are weighted.

    Attributes:
        reconstruction: from (estimate, reference) [B, L] to losses by name.
        adversary: the discriminators; None without adversarial training.
        balancer: sets the shares of the losses in the gradient; None where the weights do.
        names: of losses in the log that every process has at the same steps.
    """

    def __init__(
        self,
        loss: LossConfig,
        adversarial: AdversarialConfig,
        balancer: BalancerConfig,
        sample_rate: int,
        bfloat16: bool,
        processes: Processes,
    ) -> None:
        """Build the losses of a recipe; `bfloat16` lets discriminators compute in that number type."""
        self.weights, self.adversarial = loss.weights, adversarial
        self.bfloat16, self.device = bfloat16, processes.device
        self.reconstruction = ReconstructionLoss(loss, sample_rate).to(processes.device)
        self.adversary = Adversary(adversarial, sample_rate, processes) if adversarial.enabled else None
        self.balancer: Balancer | None = None
        if balancer.enabled:
            shares = {**loss.weights, **adversarial.weights}
            shares.pop("commitment", None)
            self.balancer = Balancer(shares, balancer.total_norm, balancer.ema_decay)
        self.names = (*loss.weights, *ADVERSARIAL_LOSSES, "discriminator", "total")

    def backward(
        self, output: ModelOutput, reference: Tensor, step: int, share: float, seed: int, chance: float
    ) -> dict[str, Tensor]:
        """Add `share` of the gradients of one batch to those of all parameters; return the losses by name.

        `reference` [B, 1, L] is what the output should be; for `seed` and `chance` see `Adversary.judge`.
        Losses are differentiated with respect to the output only, then one backward pass goes through the
        rest of the model.
        """
        estimate = output.wav.detach().float().requires_grad_()
        reference = reference[..., : estimate.shape[-1]]
        losses: dict[str, Tensor] = self.reconstruction(estimate[:, 0], reference[:, 0])
        weights, logged = dict(self.weights), dict[str, Tensor]()
        if self.adversary is not None and self.adversarial.active(step):
            with autocast(self.bfloat16, self.device):
                judged = self.adversary.judge(estimate, reference, seed, chance, share)
            logged["discriminator"] = judged.pop("discriminator")
            losses |= judged
            weights |= self.adversary.weights(step)
        gradient = self._gradient(losses, estimate, weights, step)
        commitment = weights.get("commitment", 0.0) * output.loss
        roots = [
            (output.wav, (share * gradient).to(output.wav.dtype)),
            (commitment, commitment.new_full((), share)),
        ]
        learning = [root for root in roots if root[0].requires_grad]
        torch.autograd.backward([root for root, _ in learning], [gradient for _, gradient in learning])
        losses["commitment"] = output.loss
        if self.adversary is not None and self.adversarial.share:
            logged["adversarial_scale"] = self.adversary.scale()
        return losses | logged | {"total": weighted_sum(losses, weights)}

    def _gradient(
        self, losses: Mapping[str, Tensor], estimate: Tensor, weights: Mapping[str, float], step: int
    ) -> Tensor:
        """Gradient of all losses with respect to `estimate`."""
        if self.balancer is not None:
            return self.balancer.gradient(losses, estimate, weights)[0]
        if self.adversary is None or not self.adversarial.share:
            return _gradient_of_sum(losses, estimate, weights)
        against = {name: losses[name] for name in ADVERSARIAL_LOSSES if name in losses}
        rest = {name: loss for name, loss in losses.items() if name not in against}
        gradient, strength = _gradient_of_sum(rest, estimate, weights), self.adversarial.strength(step)
        if not against or not strength:
            return gradient
        adversarial = _gradient_of_sum(against, estimate, self.adversarial.weights)
        self.adversary.update_norms(gradient, adversarial)
        return gradient + strength * self.adversary.scale() * adversarial


def _gradient_of_sum(losses: Mapping[str, Tensor], estimate: Tensor, weights: Mapping[str, float]) -> Tensor:
    counting = {name: loss for name, loss in losses.items() if weights.get(name, 0.0) > 0}
    if not counting:
        return torch.zeros_like(estimate)
    return torch.autograd.grad(weighted_sum(counting, weights), estimate)[0]


def autocast(bfloat16: bool, device: torch.device) -> torch.autocast | nullcontext[None]:
    """Compute nets in bfloat16, or as they are."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if bfloat16 else nullcontext()


def si_sdr_by_switch(estimate: Tensor, target: Tensor, denoise: Tensor) -> dict[str, Tensor]:
    """SI-SDR in dB of wavs [B, 1, L]: means of the examples with the denoising switch [B] on, and off.

    Le Roux et al. 2019, https://arxiv.org/abs/1811.02508; examples whose target is silent are left out.
    """
    estimate, target = estimate.detach().float()[:, 0], target[:, 0, : estimate.shape[-1]]
    power = target.square().sum(-1)
    projection = ((estimate * target).sum(-1) / power.clamp(min=1e-12))[:, None] * target
    ratio = projection.square().sum(-1) / (estimate - projection).square().sum(-1).clamp(min=1e-12)
    decibels = 10 * ratio.clamp(min=1e-12).log10()
    chosen = {name: (denoise == on) & (power > 1e-8) for name, on in (("on", True), ("off", False))}
    return {f"si_sdr/{name}": decibels[rows].mean() for name, rows in chosen.items() if bool(rows.any())}
