"""Adversarial losses: discriminators learn to tell recordings from coded sound, the codec to mislead them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.config import check_least, check_names
from audiocodec.errors import ConfigError
from audiocodec.losses.reconstruction import energy_distance
from audiocodec.training.data.resident import send
from audiocodec.training.discriminators import DISCRIMINATORS, Judgment, build_discriminators
from audiocodec.training.discriminators.config import DiscriminatorConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

Loss = Literal["hinge", "least_squares"]
Feature = Literal["relative", "absolute"]
Reduction = Literal["mean", "sum"]

ADVERSARIAL_LOSSES = ("adversarial", "feature")
"""Names that `adversarial.weights` may hold."""
NORM_DECAY = 0.98
"""Of the norms that `AdversarialConfig.share` is held by: 50 steps."""


@dataclass(frozen=True)
class AdversarialConfig:
    """Training against discriminators.

    Attributes:
        discriminators: which, and their sizes; none by default.
        loss: "hinge" (EnCodec) or "least_squares" (DAC).
        feature: feature matching "relative" to the size of the features (EnCodec) or "absolute" (DAC).
        reduction: "mean" over discriminators and layers (EnCodec) or their "sum" (DAC).
        weights: by name, adversarial and feature; what is not named counts nothing.
        share: norm of their gradient in units of that of the reconstruction losses, at the output of the
            decoder, whatever the weights amount to; 0 leaves it to the weights.
        most: their gradient is scaled up by so much at most: that of discriminators at chance is noise.
        start_step: the codec alone learns before.
        warmup_steps: steps after `start_step` in which the codec sees no adversarial losses; the
            discriminators learn.
        ramp_steps: steps after these in which the weights grow to their full size.
        every: the discriminators are asked and learn in one of so many steps.
        update_share: share of these steps in which the discriminators learn, drawn anew each time.
        crop_seconds: length of the random stretch of each example that is judged; 0 for the whole.
        learning_rate: of the discriminators' AdamW.
        betas: of the discriminators' AdamW.
        max_grad_norm: the discriminators' gradients are scaled down to this norm.
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
        check_names("discriminators.kinds", self.discriminators.kinds, DISCRIMINATORS)
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

    def asked(self, step: int) -> bool:
        """Whether the discriminators take part in step `step`."""
        return self.enabled and step >= self.start_step and (step - self.start_step) % self.every == 0

    def strength(self, step: int) -> float:
        """Share of their full size, 0 to 1, that the weights have in step `step`."""
        past = step - self.start_step - self.warmup_steps
        return min(1.0, (past + 1) / max(1, self.ramp_steps)) if past >= 0 else 0.0


class Adversary(nn.Module):
    """The discriminators of a recipe and the three losses that follow from one pass through them.

    The codec's losses and the discriminators' own use the same pass: both learn from the discriminators as
    they were before the step. Take the gradients by `inputs`, so neither learns from the other's loss:

        losses = adversary(estimate, reference)
        loss = losses.pop("discriminator")
        loss.backward(inputs=list(adversary.parameters()), retain_graph=True)
        ...  # losses["adversarial"] and losses["feature"], with respect to the estimate
    """

    norms: Tensor

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__()
        self.config = config
        self.discriminators = build_discriminators(config.discriminators)
        self.register_buffer("norms", torch.zeros(2))  # decayed sums: reconstruction, adversarial

    def forward(self, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """Wavs [R * B, 1, L], [B, 1, L] -> {"adversarial": [], "feature": [], "discriminator": []}.

        R renderings, 1 or 2, as in `SpectralLoss`; the features of two are compared by energy distances.
        """
        # Not in one batch: the codec's way back would then lead through the recordings too, in vain.
        fake, real = self.discriminators(estimate), self.discriminators(reference)
        config = self.config
        losses = generator_losses(real, fake, config.loss, config.feature, config.reduction)
        return losses | {"discriminator": discriminator_loss(real, fake, config.loss, config.reduction)}

    @torch.no_grad()
    def follow(self, reconstruction: Tensor, adversarial: Tensor) -> None:
        """Take the norms of two gradients at the decoder's output into `norms`, decayed sums over steps."""
        norms = torch.stack([reconstruction.float().norm(), adversarial.float().norm()])
        self.norms.mul_(NORM_DECAY).add_(norms.nan_to_num(posinf=0.0))

    def scale(self) -> Tensor:
        """What to multiply the adversarial gradient by, [], to have `share` beside the reconstruction's.

        The adaptive weight of Esser et al. 2021, https://arxiv.org/abs/2012.09841, equation 7, but of norms
        at the output of the decoder, averaged over steps.
        """
        wanted = self.config.share * self.norms[0] / self.norms[1].clamp(min=1e-12)
        return wanted.clamp(max=self.config.most)


def crop(
    estimate: Tensor, reference: Tensor, length: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Cut the same stretch of `length` samples of each example out of wavs [R * B, C, L] and [B, C, L]."""
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
    """What the discriminators learn by: high scores for recordings, low ones for coded sound.

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
    """What the codec learns by: {"adversarial": [], "feature": []}.

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
    # Only the means need full precision; copies of all features in it would cost a sixth of a pass.
    target = target.detach()
    difference = energy_distance(estimate, target, lambda x: x.abs().mean(dtype=torch.float32))
    if feature == "absolute":
        return difference
    return difference / target.abs().mean(dtype=torch.float32).clamp(min=1e-6)


def _reduce(terms: list[Tensor], reduction: Reduction) -> Tensor:
    total = torch.stack(terms).sum()
    return total / len(terms) if reduction == "mean" else total
