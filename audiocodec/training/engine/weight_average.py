"""Moving average of a model's weights, which is what gets evaluated and published."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Generator

    from torch import Tensor, nn

EVERY = 10
"""Steps between two averaging steps: the average moves slowly, memory traffic need not be paid each step."""


class WeightAverage:
    """Exponential moving average of the parameters of `model`."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """`decay` per training step."""
        self.model, self.decay = model, decay
        self.averages = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move towards the current weights; call once a step. A warm-up keeps early averages young."""
        if step % EVERY == 0:
            weight = 1 - min(self.decay**EVERY, (1 + step) / (10 * EVERY + step))
            for average, parameter in zip(self.averages.values(), self.model.parameters(), strict=True):
                average.lerp_(parameter, weight)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Put the averages into the model for as long as the context lasts, in evaluation mode."""
        current = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        modes = {module: module.training for module in self.model.modules()}
        self._load(self.averages)
        self.model.eval()
        try:
            yield
        finally:
            self._load(current)
            for module, training in modes.items():  # each its own: frozen parts are never in training mode
                module.training = training

    @torch.no_grad()
    def _load(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(values[name])
