"""What a training step changes: weights, their moving average, optimizers; a checkpoint holds all of it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from audiocodec.config import check_least
from audiocodec.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from torch import Tensor, nn

    from audiocodec.model import CodecModel
    from audiocodec.training.objective import Objective

AVERAGE_EVERY = 10
"""Steps between two updates of the average: it moves slowly, so memory traffic in each step is not needed."""
OPTIONAL = ("discriminator", "balancer")
"""Groups of tensors that a resumed run may have gained: those that the checkpoint lacks start new."""
NAMED = 5
"""Parts that do not fit which an error names."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with warm-up, a constant learning rate, and a linear decay towards zero over the last steps.

    Attributes:
        learning_rate: learning rate between warm-up and decay.
        betas: decay of AdamW's moving averages of the gradient and of its square.
        weight_decay: weight decay of AdamW.
        warmup_steps: number of steps at the start in which the learning rate rises linearly.
        decay_steps: number of steps at the end in which the learning rate falls linearly towards zero.
        max_grad_norm: a gradient with a larger norm is scaled down to this norm.
        weight_ema_decay: decay per step of the moving average of the weights; the averaged weights are what
            is validated and exported.
    """

    learning_rate: float = 5e-4
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = 1e-3
    warmup_steps: int = 200
    decay_steps: int = 4000
    max_grad_norm: float = 1.0
    weight_ema_decay: float = 0.998

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: a number is out of range.
        """
        if not all(0 <= share < 1 for share in (*self.betas, self.weight_ema_decay)):
            raise ConfigError("betas and weight_ema_decay must be at least 0 and less than 1")
        if self.learning_rate <= 0 or self.max_grad_norm <= 0:
            raise ConfigError("learning_rate and max_grad_norm must be more than 0")
        for name in ("weight_decay", "warmup_steps", "decay_steps"):
            check_least(**{name: (getattr(self, name), 0)})

    def rate_at(self, step: int, steps: int) -> float:
        """Learning rate of step `step` out of `steps`: warm-up, constant, linear decay.

        Hu et al. 2024, https://arxiv.org/abs/2404.06395, call it warmup-stable-decay.
        """
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        left = min(1.0, (steps - step) / max(1, self.decay_steps))
        return self.learning_rate * warm * left


class WeightAverage:
    """Exponential moving average of the parameters of `model`, which is what is evaluated and published."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """`decay` is per training step."""
        self.model, self.decay = model, decay
        self.averages = {name: p.detach().clone() for name, p in model.named_parameters()}

    def restart(self) -> None:
        """Take the current weights as the average."""
        for average, parameter in zip(self.averages.values(), self.model.parameters(), strict=True):
            average.copy_(parameter.detach())

    @torch.no_grad()
    def follow(self, step: int) -> None:
        """Move towards the current weights; call once a step. A warm-up keeps early averages young."""
        if step % AVERAGE_EVERY == 0:
            weight = 1 - min(self.decay**AVERAGE_EVERY, (1 + step) / (10 * AVERAGE_EVERY + step))
            for average, parameter in zip(self.averages.values(), self.model.parameters(), strict=True):
                average.lerp_(parameter, weight)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Put the averages into the model, in evaluation mode, until the context ends."""
        current = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        modes = {module: module.training for module in self.model.modules()}
        self._load(self.averages)
        self.model.eval()
        try:
            yield
        finally:
            self._load(current)
            for module, training in modes.items():  # one by one: frozen parts are never in training mode
                module.training = training

    @torch.no_grad()
    def _load(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(values[name])


class TrainState:
    """All that the next step depends on, beside the recipe and the data.

    Attributes:
        model: weights and buffers, codebooks and their statistics among them.
        objective: the discriminators, their optimizer and the balancer belong to the state.
        parameters: those of the model that learn by gradient.
        optimizer: AdamW over `parameters`.
        average: moving average of the weights.
        step_number: steps taken so far.
    """

    def __init__(self, model: CodecModel, objective: Objective, config: OptimConfig) -> None:
        """The state before the first step; parameters that need no gradient stay as they are.

        Raises:
            ConfigError: no parameter learns by gradient.
        """
        self.model, self.objective, self.step_number = model, objective, 0
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not self.parameters:
            raise ConfigError("frozen leaves nothing that learns by gradient; let encoder or decoder learn")
        self.optimizer = torch.optim.AdamW(
            self.parameters,
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.average = WeightAverage(model, config.weight_ema_decay)

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, as checkpoints store it; old checkpoints depend on these names."""
        tensors = self._fixed()
        if self.objective.balancer is not None:
            averages = self.objective.balancer.state_dict()
            tensors |= {f"balancer/{name}": average for name, average in averages.items()}
        for group, (optimizer, _) in self._optimizers().items():
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"{group}/{index}/{name}": torch.as_tensor(v) for name, v in state.items()}
        return tensors

    def load(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Continue from `tensors` after step `step`; discriminators and balancer may be missing.

        Raises:
            CheckpointError: they belong to another recipe.
            ValueError, or another of MALFORMED: they are damaged.
        """
        groups = {name.split("/")[0] for name in tensors}
        optimizers, balancer = self._optimizers(), self.objective.balancer
        fixed = {
            name: tensor
            for name, tensor in self._fixed().items()
            if name.split("/")[0] not in OPTIONAL or name.split("/")[0] in groups
        }
        growing = {*optimizers} | ({"balancer"} if balancer is not None else set())
        _check_fit({n: t for n, t in tensors.items() if n.split("/")[0] not in growing}, fixed)
        has = {"discriminator": self.objective.adversary is not None, "balancer": balancer is not None}
        for part in OPTIONAL:
            if has[part] and part not in groups:
                logger.info("the checkpoint has no %s: it starts new", part)
        with torch.no_grad():
            for name, target in fixed.items():
                target.copy_(tensors[name])
        for group, (optimizer, parameters) in optimizers.items():
            _load_optimizer(optimizer, parameters, _of_group(tensors, group))
        if balancer is not None:
            balancer.load_state_dict(_of_group(tensors, "balancer"))
        self.step_number = step

    def _fixed(self) -> dict[str, Tensor]:
        """Tensors that exist from the first step on, to be loaded in place."""
        tensors = {f"parameter/{name}": p.detach() for name, p in self.model.named_parameters()}
        tensors |= {f"buffer/{name}": b for name, b in self.model.named_buffers()}
        tensors |= {f"average/{name}": a for name, a in self.average.averages.items()}
        if self.objective.adversary is not None:
            discriminators = self.objective.adversary.state_dict()
            tensors |= {f"discriminator/{name}": tensor for name, tensor in discriminators.items()}
        return tensors

    def _optimizers(self) -> dict[str, tuple[torch.optim.Optimizer, Sequence[nn.Parameter]]]:
        """Each optimizer with the parameters that it moves, by the group of its tensors."""
        optimizers: dict[str, tuple[torch.optim.Optimizer, Sequence[nn.Parameter]]] = {
            "optimizer": (self.optimizer, self.parameters)
        }
        adversary = self.objective.adversary
        if adversary is not None:
            optimizers["discriminator_optimizer"] = (adversary.optimizer, adversary.learning)
        return optimizers


def _of_group(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    start = f"{group}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _load_optimizer(
    optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = tensor
    shapes = {index: entry["exp_avg"].shape for index, entry in state.items() if "exp_avg" in entry}
    # A parameter that has had no gradient yet has no state.
    if not shapes.items() <= {index: parameter.shape for index, parameter in enumerate(parameters)}.items():
        raise CheckpointError("other parts learned then; resume with the same `frozen` in the recipe")
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _check_fit(stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    wrong = sorted(
        name
        for name in stored.keys() | wanted.keys()
        if name not in stored or name not in wanted or stored[name].shape != wanted[name].shape
    )
    if wrong:
        there, here = (
            f"{list(group[wrong[0]].shape)}" if wrong[0] in group else "none" for group in (stored, wanted)
        )
        parts = ", ".join(sorted({".".join(name.split(".")[:2]) for name in wrong})[:NAMED])
        raise CheckpointError(
            f"{len(wrong)} tensors do not fit this recipe, in {parts}; the first is {wrong[0]}"
            f" ({there} in the file, {here} in the recipe); resume with the recipe of the run's config.yaml"
        )
