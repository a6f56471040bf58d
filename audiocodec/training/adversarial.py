"""Adversarial training: discriminators learn to tell recordings from coded audio, the codec to fool them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.config import check_least, check_names
from audiocodec.devices import send
from audiocodec.errors import ConfigError
from audiocodec.losses.reconstruction import energy_distance
from audiocodec.training.discriminators import DiscriminatorConfig, Discriminators, Judgment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiocodec.training.processes import Processes

Loss = Literal["hinge", "least_squares"]
Feature = Literal["relative", "absolute"]
Reduction = Literal["mean", "sum"]

ADVERSARIAL_LOSSES = ("adversarial", "feature")
"""Names that `adversarial.weights` may hold."""
NORM_DECAY = 0.98
"""Decay of the norms that `AdversarialConfig.share` is computed from: an average over 50 steps."""


@dataclass(frozen=True)
class AdversarialConfig:
    """Training against discriminators.

    Attributes:
        discriminators: kinds and sizes of the discriminators; none by default.
        loss: adversarial loss, "hinge" (EnCodec) or "least_squares" (DAC).
        feature: how features are compared (feature matching): "relative" to their size (EnCodec) or
            "absolute" (DAC).
        reduction: how discriminators and layers are combined: "mean" (EnCodec) or "sum" (DAC).
        weights: weight of each loss by its name, adversarial and feature; a loss that is not named does not
            count.
        share: norm that the adversarial gradient gets at the output of the decoder, relative to the gradient
            of the reconstruction losses; 0 means that only `weights` decide.
        most: largest factor by which `share` may scale the adversarial gradient up. It is needed because the
            gradient of untrained discriminators is small and only noise.
        start_step: first step with discriminators; before it the codec trains without them.
        warmup_steps: number of steps after `start_step` in which the discriminators learn and the codec does
            not learn from them.
        ramp_steps: number of steps after the warm-up in which the weights grow to their full size.
        every: the discriminators take part in every so many steps; 1 for every step.
        update_share: share of these steps in which the discriminators learn; the steps are drawn at random.
        crop_seconds: length of the random excerpt of each example that the discriminators hear; 0 for the
            whole example.
        learning_rate: learning rate of the discriminators' AdamW.
        betas: betas of the discriminators' AdamW.
        max_grad_norm: a gradient of the discriminators with a larger norm is scaled down to this norm.
    """

    discriminators: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    loss: Loss = "hinge"
    feature: Feature = "relative"
    reduction: Reduction = "mean"
    weights: dict[str, float] = field(default_factory=lambda: {"adversarial": 1.0, "feature": 1.0})
    share: float = 0.0
    most: float = 30.0
    start_step: int = 0
    warmup_steps: int = 0
    ramp_steps: int = 0
    every: int = 1
    update_share: float = 1.0
    crop_seconds: float = 0.0
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.5, 0.9)
    max_grad_norm: float = 10.0

    def __post_init__(self) -> None:
        """Check names and ranges.

        Raises:
            ConfigError: a name is unknown or a number is out of range.
        """
        for name, allowed in (("loss", Loss), ("feature", Feature), ("reduction", Reduction)):
            check_names(name, [getattr(self, name)], get_args(allowed))
        check_names("weights", self.weights, ADVERSARIAL_LOSSES)
        check_least(**{f"weights.{name}": (weight, 0) for name, weight in self.weights.items()})
        for name in ("share", "start_step", "warmup_steps", "ramp_steps", "crop_seconds"):
            check_least(**{name: (getattr(self, name), 0)})
        check_least(every=(self.every, 1))
        if not 0 < self.update_share <= 1:
            raise ConfigError(f"update_share is {self.update_share}; give a share above 0, up to 1")
        if min(self.learning_rate, self.max_grad_norm, self.most) <= 0:
            raise ConfigError("learning_rate, max_grad_norm and most must be more than 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError("betas must be at least 0 and less than 1")

    @property
    def enabled(self) -> bool:
        """Whether there is any discriminator."""
        return bool(self.discriminators.kinds)

    def active(self, step: int) -> bool:
        """Whether the discriminators take part in step `step`."""
        return self.enabled and step >= self.start_step and (step - self.start_step) % self.every == 0

    def strength(self, step: int) -> float:
        """Factor from 0 to 1 on the weights in step `step`."""
        past = step - self.start_step - self.warmup_steps
        return min(1.0, (past + 1) / max(1, self.ramp_steps)) if past >= 0 else 0.0


class Adversary(nn.Module):
    """Discriminators, the three losses that follow from one pass through them, and their optimizer.

    The codec's losses and the discriminators' own use the same pass: both learn from the discriminators as
    they were before the step. Take the gradients by `inputs`, so neither learns from the other's loss:

        losses = adversary(estimate, reference)
        loss = losses.pop("discriminator")
        loss.backward(inputs=adversary.learning, retain_graph=True)
        ...  # losses["adversarial"] and losses["feature"], with respect to the estimate

    Attributes:
        norms: decayed sums of gradient norms [2]: of reconstruction and of adversarial losses.
        learning: parameters that `optimizer` moves.
    """

    norms: Tensor

    def __init__(self, config: AdversarialConfig, sample_rate: int, processes: Processes) -> None:
        """Build the discriminators of `config` with random weights on the device of `processes`."""
        super().__init__()
        self.config, self.processes = config, processes
        self.crop_length = round(config.crop_seconds * sample_rate)
        self.discriminators = Discriminators(config.discriminators)
        self.register_buffer("norms", torch.zeros(2))
        self.to(processes.device)
        self.learning = [p for p in self.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.learning, lr=config.learning_rate, betas=config.betas, fused=True
        )

    def forward(self, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """Wavs [R * B, 1, L], [B, 1, L] -> {"adversarial": [], "feature": [], "discriminator": []}.

        R is 1 or 2 renderings, as in `SpectralLoss`; the features of two are compared by energy distances.
        """
        # Apart: in one batch, the codec's backward pass would go through the recordings too, for nothing.
        fake, real = self.discriminators(estimate), self.discriminators(reference)
        config = self.config
        losses = generator_losses(real, fake, config.loss, config.feature, config.reduction)
        return losses | {"discriminator": discriminator_loss(real, fake, config.loss, config.reduction)}

    def judge(
        self, estimate: Tensor, reference: Tensor, seed: int, chance: float, share: float
    ) -> dict[str, Tensor]:
        """Losses of an excerpt of each wav, [R * B, 1, L] and [B, 1, L]; `seed` decides where it starts.

        If `chance`, from 0 to 1, is below `update_share`, then `share` of the discriminators' own gradient is
        added to theirs.
        """
        generator = torch.Generator().manual_seed(seed)
        losses = self(*crop(estimate, reference, self.crop_length, generator))
        if chance < self.config.update_share:
            (share * losses["discriminator"]).backward(inputs=self.learning, retain_graph=True)
        return losses

    def clip_gradients(self) -> dict[str, Tensor]:
        """Average the gradients over processes and limit their norm, which is returned if there are any."""
        if all(parameter.grad is None for parameter in self.learning):
            return {}
        self.processes.average_gradients(self.learning)
        norm = torch.nn.utils.clip_grad_norm_(self.learning, self.config.max_grad_norm)
        return {"discriminator_grad_norm": norm}

    def weights(self, step: int) -> dict[str, float]:
        """Weights of the codec's losses in step `step`."""
        strength = self.config.strength(step)
        return {name: strength * weight for name, weight in self.config.weights.items()}

    @torch.no_grad()
    def update_norms(self, reconstruction: Tensor, adversarial: Tensor) -> None:
        """Take the norms of two gradients at the decoder's output into `norms`."""
        norms = torch.stack([reconstruction.float().norm(), adversarial.float().norm()])
        self.norms.mul_(NORM_DECAY).add_(norms.nan_to_num(posinf=0.0))

    def scale(self) -> Tensor:
        """Factor [] on the adversarial gradient that gives it `share` of the reconstruction's norm.

        The adaptive weight of Esser et al. 2021, https://arxiv.org/abs/2012.09841, equation 7, but of norms
        at the output of the decoder, averaged over steps.
        """
        factor = self.config.share * self.norms[0] / self.norms[1].clamp(min=1e-12)
        return factor.clamp(max=self.config.most)


def crop(
    estimate: Tensor, reference: Tensor, length: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cut the same `length` samples of each example out of wavs [R * B, C, L] and [B, C, L]; 0 for all."""
    spare = estimate.shape[-1] - length
    if length <= 0 or spare <= 0:
        return estimate, reference
    starts = send(torch.randint(spare + 1, (len(reference),), generator=generator).numpy(), reference.device)
    places = starts[:, None, None] + torch.arange(length, device=reference.device)
    return _take(estimate, places), _take(reference, places)


def _take(wav: Tensor, places: Tensor) -> Tensor:
    """Samples [R * B, C, K] of wav [R * B, C, L] at `places` [B, 1, K]."""
    return wav.gather(-1, places.repeat(len(wav) // len(places), wav.shape[1], 1))


def discriminator_loss(
    real: Sequence[Judgment], fake: Sequence[Judgment], kind: Loss, reduction: Reduction = "mean"
) -> Tensor:
    """Loss of the discriminators: high scores for recordings, low ones for coded audio.

    "hinge": max(0, 1 - D(x)) + max(0, 1 + D(x^)), EnCodec, section 3.4; "least_squares": (1 - D(x))^2 +
    D(x^)^2, Mao et al. 2017, https://arxiv.org/abs/1611.04076, as in DAC.
    """
    terms: list[Tensor] = []
    for (right, _), (wrong, _) in zip(real, fake, strict=True):
        if kind == "hinge":
            terms.append(F.relu(1 - right.float()).mean() + F.relu(1 + wrong.float()).mean())
        else:
            terms.append((1 - right.float()).square().mean() + wrong.float().square().mean())
    return _reduce(terms, reduction)


def generator_losses(
    real: Sequence[Judgment],
    fake: Sequence[Judgment],
    kind: Loss,
    feature: Feature = "relative",
    reduction: Reduction = "mean",
) -> dict[str, Tensor]:
    """Losses of the codec: {"adversarial": [], "feature": []}.

    "hinge": max(0, 1 - D(x^)), EnCodec, section 3.4; "least_squares": (1 - D(x^))^2, as in DAC. Features of
    the recordings are targets, without a gradient: "relative" |f - f^| / mean |f|, EnCodec, equation 2;
    "absolute" |f - f^|, means over a layer. Of two renderings it is the energy distance.
    """
    terms, differences = list[Tensor](), list[Tensor]()
    for (_, targets), (wrong, features) in zip(real, fake, strict=True):
        gap = 1 - wrong.float()
        terms.append(F.relu(gap).mean() if kind == "hinge" else gap.square().mean())
        differences += [_difference(a, b, feature) for a, b in zip(features, targets, strict=True)]
    return {"adversarial": _reduce(terms, reduction), "feature": _reduce(differences, reduction)}


def _difference(estimate: Tensor, target: Tensor, feature: Feature) -> Tensor:
    # Only the means need full precision; converting all features would cost a sixth of a pass.
    target = target.detach()
    difference = energy_distance(estimate, target, lambda x: x.abs().mean(dtype=torch.float32))
    if feature == "absolute":
        return difference
    return difference / target.abs().mean(dtype=torch.float32).clamp(min=1e-6)


def _reduce(terms: list[Tensor], reduction: Reduction) -> Tensor:
    total = torch.stack(terms).sum()
    return total / len(terms) if reduction == "mean" else total
