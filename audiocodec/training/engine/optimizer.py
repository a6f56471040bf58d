"""AdamW and its learning rate over the steps of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from audiocodec.training.config import OptimConfig


def build_optimizer(parameters: Sequence[nn.Parameter], config: OptimConfig) -> torch.optim.AdamW:
    """Build the optimizer of a recipe.

    Raises:
        ConfigError: nothing learns by gradient.
    """
    if not parameters:
        raise ConfigError("frozen leaves nothing that learns by gradient; let encoder or decoder learn")
    return torch.optim.AdamW(
        parameters,
        lr=config.learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
        fused=True,
    )


def learning_rate(config: OptimConfig, step: int, steps: int) -> float:
    """Learning rate of step `step` out of `steps`: warm-up, constant, linear decay.

    Hu et al. 2024, https://arxiv.org/abs/2404.06395, call it warmup-stable-decay.
    """
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    left = min(1.0, (steps - step) / max(1, config.decay_steps))
    return config.learning_rate * warm * left
