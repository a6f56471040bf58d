"""Checkpoints of a running training: safetensors files, written beside and renamed, the newest two kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from audiocodec.errors import CheckpointError
from audiocodec.training.run.folder import checkpoints

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from audiocodec.training.loop import Trainer

KEPT = 2


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step in a run folder."""
    return next(reversed(checkpoints(folder)), None)


def save_state(trainer: Trainer) -> Path:
    """Write everything the next step depends on: weights, buffers, averages, optimiser, step.

    Raises:
        CheckpointError: it cannot be written; earlier checkpoints stay.
    """
    tensors: dict[str, Tensor] = {}
    tensors |= {f"parameter/{name}": p.detach() for name, p in trainer.model.named_parameters()}
    tensors |= {f"buffer/{name}": b for name, b in trainer.model.named_buffers()}
    tensors |= {f"average/{name}": a for name, a in trainer.average.averages.items()}
    for index, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
    path = trainer.folder / f"checkpoint-{trainer.step_number:09d}.safetensors"
    partial = path.with_suffix(".partial")
    metadata = {"step": str(trainer.step_number)}
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata)
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut may leave the new name without the content
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path}: cannot be written ({error}); earlier checkpoints are whole"
        ) from error
    for old in checkpoints(trainer.folder)[:-KEPT]:
        old.unlink()
    return path


def load_state(trainer: Trainer, path: Path) -> None:
    """Put a trainer back where `save_state` left it.

    Raises:
        CheckpointError: the file is damaged, then an older one is named, or belongs to another recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            step = int(file.metadata()["step"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); {_way_out(path)}") from error
    wanted = {
        **{f"parameter/{name}": parameter for name, parameter in trainer.model.named_parameters()},
        **{f"buffer/{name}": buffer for name, buffer in trainer.model.named_buffers()},
        **{f"average/{name}": average for name, average in trainer.average.averages.items()},
    }
    optimizer = {name: tensor for name, tensor in tensors.items() if name.startswith("optimizer/")}
    found = {name: tensor for name, tensor in tensors.items() if name not in optimizer}
    _check_fit(path, found, wanted)
    with torch.no_grad():
        for name, target in wanted.items():
            target.copy_(found[name])
    _load_optimizer(trainer, path, optimizer)
    trainer.step_number = step


def _load_optimizer(trainer: Trainer, path: Path, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        _, index, key = name.split("/")
        state.setdefault(int(index), {})[key] = tensor
    shapes = {index: entry["exp_avg"].shape for index, entry in state.items() if "exp_avg" in entry}
    if shapes != {index: p.shape for index, p in enumerate(trainer.parameters)} and state:
        raise CheckpointError(
            f"{path}: other parts learned then; resume with the same `frozen` in the recipe"
        )
    groups = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict({"state": state, "param_groups": groups})


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
        raise CheckpointError(
            f"{path}: {len(wrong)} tensors do not fit the `model` of this recipe, the first is {wrong[0]}"
            f" ({there} in the file, {here} in the model); resume with the recipe of the run's config.yaml"
        )


def _way_out(path: Path) -> str:
    older = [other for other in checkpoints(path.parent) if other.name < path.name]
    if older:
        return f"delete it to resume from {older[-1].name}"
    return "there is no older one; start again with --force"
