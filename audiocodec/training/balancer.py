"""The loss balancer of EnCodec: every loss gets its share of the gradient, whatever its scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed

from audiocodec.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


EPSILON = 1e-12
"""Added to norms before dividing by them."""


@dataclass(frozen=True)
class BalancerConfig:
    """EnCodec's loss balancer: `loss.weights` and `adversarial.weights` become shares of the gradient.

    Attributes:
        enabled: whether the balancer is used; the commitment loss stays outside of it.
        total_norm: norm of the whole gradient at the output of the decoder.
        ema_decay: decay per step of the moving average of the gradient norm of each loss.
    """

    enabled: bool = False
    total_norm: float = 1.0
    ema_decay: float = 0.999

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a number is out of range.
        """
        if self.total_norm <= 0 or not 0 <= self.ema_decay < 1:
            raise ConfigError("total_norm must be more than 0, ema_decay at least 0 and less than 1")


class Balancer:
    """Scales the gradient of each loss to its share of one norm, at the output of the decoder.

    Défossez et al. 2022, https://arxiv.org/abs/2210.13438, equation 5: with g_i the gradient of loss i with
    respect to the output, g~_i = R * (w_i / sum_j w_j) * g_i / <|g_i|>, where <> is a moving average over
    steps, corrected for its start. The shares are among the losses of a step, so one that joins later takes
    its share from the others. The commitment loss does not pass through the output and stays outside.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        total_norm: float = 1.0,
        ema_decay: float = 0.999,
    ) -> None:
        """`total_norm` is R; the norm of a batch is the mean of the norms of its examples.

        Raises:
            ConfigError: a weight is negative, or all are 0.
        """
        if not any(weights.values()) or min(weights.values()) < 0:
            raise ConfigError(f"weights of the balancer are {dict(weights)}; give 0 or more, one above 0")
        self.weights, self.total_norm, self.ema_decay = dict(weights), total_norm, ema_decay
        self._averages: dict[str, Tensor] = {}  # decayed sum of norms and of ones, [2] in double precision

    def gradient(
        self, losses: Mapping[str, Tensor], output: Tensor, weights: Mapping[str, float] | None = None
    ) -> tuple[Tensor, dict[str, float]]:
        """Balanced gradient of `losses` with respect to `output` [B, ...], and the norm of each loss's own.

        Continue with `output.backward(gradient)`. `weights` replaces those of the constructor in this step;
        a loss without a weight does not count.

        Raises:
            ConfigError: no loss has a weight.
        """
        weights = self.weights if weights is None else weights
        losses = {name: loss for name, loss in losses.items() if weights.get(name, 0.0) > 0}
        if not losses:
            raise ConfigError(f"none of the losses has a weight; the balancer has {sorted(weights)}")
        gradients = {
            name: torch.autograd.grad(loss, output, retain_graph=True)[0] for name, loss in losses.items()
        }
        norms = self._norms(gradients)
        total = sum(weights[name] for name in gradients)
        balanced = torch.zeros_like(output)
        for name, gradient in gradients.items():
            share = self.total_norm * weights[name] / total
            balanced += gradient * (share / (EPSILON + self._follow(name, norms[name])))
        return balanced, norms

    def state_dict(self) -> dict[str, Tensor]:
        """Moving averages by loss, [2] each."""
        return {name: average.clone() for name, average in self._averages.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from `state_dict`.

        Raises:
            CheckpointError: an entry is not of that form.
        """
        wrong = [name for name, average in state.items() if average.shape != (2,)]
        if wrong:
            raise CheckpointError(f"balancer: averages of {wrong} are damaged; start from another checkpoint")
        self._averages = {name: average.double().cpu().clone() for name, average in state.items()}

    def _follow(self, name: str, norm: float) -> float:
        """Moving average of the norms of a loss, this step's included."""
        old = self._averages.get(name, torch.zeros(2, dtype=torch.float64))
        new = old * self.ema_decay + torch.tensor([norm, 1.0], dtype=torch.float64)
        self._averages[name] = new
        return float(new[0] / new[1])

    def _norms(self, gradients: Mapping[str, Tensor]) -> dict[str, float]:
        """Norm of each gradient: the mean over the examples of all processes."""
        flat = torch.stack([gradient.float().flatten(1) for gradient in gradients.values()])
        norms = flat.norm(dim=2).mean(dim=1)
        if distributed.is_available() and distributed.is_initialized():
            count = float(flat.shape[1])
            sums = torch.cat([norms * count, norms.new_full((1,), count)])
            distributed.all_reduce(sums)
            norms = sums[:-1] / sums[-1]
        return dict(zip(gradients, norms.tolist(), strict=True))
