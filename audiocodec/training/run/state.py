"""Checkpoints of a running training: safetensors files, written beside and renamed; best and newest stay."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from audiocodec.config import to_mapping
from audiocodec.errors import CheckpointError
from audiocodec.outside import MALFORMED
from audiocodec.storage import replacing
from audiocodec.training.run.folder import checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from audiocodec.training.loop import Trainer

T = TypeVar("T")

KEPT = 2
"""Newest checkpoints that stay, whatever their score: the last may be damaged by a power cut."""
LATER = ("discriminator", "balancer")
"""Parts that a run may gain when it is resumed: they start anew where a checkpoint has none of them."""

NAMED = 5
MAX_STEPS = 1 << 53
"""Parts that do not fit which an error names."""

logger = logging.getLogger(__name__)


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step in a run folder."""
    return next(reversed(checkpoints(folder)), None)


def best_checkpoint(folder: Path) -> Path | None:
    """The checkpoint in a run folder with the highest score; None where no validation scored one."""
    return next(reversed(_by_score(folder)), None)


def processes_of(path: Path) -> int | None:
    """How many processes a checkpoint was written by; None where that is not noted, or it is damaged."""
    return _noted(path, "processes", int)


def save_state(trainer: Trainer, score: float | None = None) -> Path | None:
    """Write everything the next step depends on; drop checkpoints that are neither among the best nor newest.

    `score` is the validation score of this step, by which the best are kept. Only the first process writes.

    Raises:
        CheckpointError: it cannot be written; earlier checkpoints stay.
    """
    if not trainer.processes.first:
        return None
    tensors = _weights(trainer)
    if trainer.objective.balancer is not None:
        averages = trainer.objective.balancer.state_dict()
        tensors |= {f"balancer/{name}": average for name, average in averages.items()}
    for group, (optimizer, _) in _optimizers(trainer).items():
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{group}/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
    path = trainer.folder / f"checkpoint-{trainer.step_number:09d}.safetensors"
    score = _score(path) if score is None and path.exists() else score
    metadata = {"step": str(trainer.step_number), "frozen": _frozen(trainer)}
    metadata |= {"processes": str(trainer.processes.world_size), "imitates": ",".join(trainer.imitates)}
    metadata["recipe"] = json.dumps(to_mapping(trainer.config))
    metadata |= {} if score is None else {"score": repr(score)}
    _write(path, tensors, metadata)
    _drop_old(trainer.folder, trainer.config.keep_best)
    return path


def load_state(trainer: Trainer, path: Path) -> None:
    """Put a trainer back where `save_state` left it.

    Discriminators or a balancer that the recipe has gained since start anew.

    Raises:
        CheckpointError: the file is damaged, then an older one is named, or belongs to another recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            step = int(metadata["step"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        if not 0 <= step < MAX_STEPS:
            raise ValueError(f"step {step}")
    except (OSError, *MALFORMED) as error:
        raise CheckpointError(f"{path}: damaged ({error}); {_way_out(path)}") from error
    groups = {name.split("/")[0] for name in tensors}
    optimizers, balancer = _optimizers(trainer), trainer.objective.balancer
    wanted = {
        name: tensor
        for name, tensor in _weights(trainer).items()
        if name.split("/")[0] not in LATER or name.split("/")[0] in groups
    }
    apart = {*optimizers} | ({"balancer"} if balancer is not None else set())
    _check_fit(path, {n: t for n, t in tensors.items() if n.split("/")[0] not in apart}, wanted)
    if metadata.get("frozen", _frozen(trainer)) != _frozen(trainer):
        raise CheckpointError(_other_frozen(path))
    _say_new(trainer, path, groups)
    with torch.no_grad():
        for name, target in wanted.items():
            target.copy_(tensors[name])
    try:
        for group, (optimizer, parameters) in optimizers.items():
            _load_optimizer(optimizer, parameters, path, _of_group(tensors, group))
        if balancer is not None:
            balancer.load_state_dict(_of_group(tensors, "balancer"))
    except CheckpointError:
        raise
    except MALFORMED as error:
        raise CheckpointError(f"{path}: damaged ({error}); {_way_out(path)}") from error
    trainer.step_number = step


def _weights(trainer: Trainer) -> dict[str, Tensor]:
    """Tensors with a fixed place in the trainer, by name."""
    tensors = {f"parameter/{name}": p.detach() for name, p in trainer.model.named_parameters()}
    tensors |= {f"buffer/{name}": b for name, b in trainer.model.named_buffers()}
    tensors |= {f"average/{name}": a for name, a in trainer.average.averages.items()}
    if trainer.objective.opponent is not None:
        discriminators = trainer.objective.opponent.adversary.state_dict()
        tensors |= {f"discriminator/{name}": tensor for name, tensor in discriminators.items()}
    return tensors


def _optimizers(trainer: Trainer) -> dict[str, tuple[torch.optim.Optimizer, Sequence[nn.Parameter]]]:
    """Each with the parameters that it moves."""
    optimizers: dict[str, tuple[torch.optim.Optimizer, Sequence[nn.Parameter]]] = {
        "optimizer": (trainer.optimizer, trainer.parameters)
    }
    opponent = trainer.objective.opponent
    if opponent is not None:
        optimizers["discriminator_optimizer"] = (opponent.optimizer, opponent.parameters)
    return optimizers


def _frozen(trainer: Trainer) -> str:
    return ",".join(sorted(trainer.config.frozen))


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    try:
        with replacing(path) as partial:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error}); earlier checkpoints are whole"
        ) from error


def _drop_old(folder: Path, keep_best: int) -> None:
    found = checkpoints(folder)
    best = _by_score(folder)[-keep_best:] if keep_best and len(found) > KEPT else []
    for path in found[:-KEPT]:
        if path not in best:
            path.unlink()


def _by_score(folder: Path) -> list[Path]:
    """The checkpoints that a validation scored, best last; of equal ones, the newest."""
    scores = {path: score for path in checkpoints(folder) if (score := _score(path)) is not None}
    return sorted(scores, key=lambda path: scores[path])


def _score(path: Path) -> float | None:
    """The validation score that a checkpoint was written with; None for one without, or damaged."""
    return _noted(path, "score", float)


def _noted(path: Path, name: str, kind: Callable[[str], T]) -> T | None:
    try:
        with safe_open(path, framework="pt") as file:
            return kind(file.metadata()[name])
    except (OSError, *MALFORMED):
        return None


def _of_group(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    start = f"{group}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _load_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    path: Path,
    tensors: Mapping[str, Tensor],
) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = tensor
    shapes = {index: entry["exp_avg"].shape for index, entry in state.items() if "exp_avg" in entry}
    # A parameter that has had no gradient yet has no state.
    if not shapes.items() <= {index: parameter.shape for index, parameter in enumerate(parameters)}.items():
        raise CheckpointError(_other_frozen(path))
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _check_fit(path: Path, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    wrong = sorted(
        name
        for name in found.keys() | wanted.keys()
        if name not in found or name not in wanted or found[name].shape != wanted[name].shape
    )
    if wrong:
        there, here = (
            f"{list(group[wrong[0]].shape)}" if wrong[0] in group else "none" for group in (found, wanted)
        )
        parts = ", ".join(sorted({".".join(name.split(".")[:2]) for name in wrong})[:NAMED])
        raise CheckpointError(
            f"{path}: {len(wrong)} tensors do not fit this recipe, in {parts}; the first is {wrong[0]}"
            f" ({there} in the file, {here} in the recipe); resume with the recipe of the run's config.yaml"
        )


def _say_new(trainer: Trainer, path: Path, groups: set[str]) -> None:
    has = {
        "discriminator": trainer.objective.opponent is not None,
        "balancer": trainer.objective.balancer is not None,
    }
    for part in LATER:
        if has[part] and part not in groups:
            logger.info("%s has no %s: it starts anew", path, part)


def _other_frozen(path: Path) -> str:
    return f"{path}: other parts learned then; resume with the same `frozen` in the recipe"


def _way_out(path: Path) -> str:
    older = [other for other in checkpoints(path.parent) if other.name < path.name]
    if older:
        return f"delete it to resume from {older[-1].name}"
    return "there is no older one; start again with --force"
