"""Checkpoints of a running training: safetensors files, written beside and renamed, the newest two kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from audiocodec.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from audiocodec.training.loop import Trainer

KEPT = 2


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step in a run folder."""
    found = sorted(folder.glob("checkpoint-*.safetensors"))
    return found[-1] if found else None


def save_state(trainer: Trainer) -> Path:
    """Write everything the next step depends on: weights, buffers, averages, optimiser, step."""
    tensors: dict[str, Tensor] = {}
    tensors |= {f"parameter/{name}": p.detach() for name, p in trainer.model.named_parameters()}
    tensors |= {f"buffer/{name}": b for name, b in trainer.model.named_buffers()}
    tensors |= {f"average/{name}": a for name, a in trainer.average.averages.items()}
    for index, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
    path = trainer.folder / f"checkpoint-{trainer.step_number:09d}.safetensors"
    partial = path.with_suffix(".partial")
    save_file(
        {name: t.contiguous() for name, t in tensors.items()}, partial, {"step": str(trainer.step_number)}
    )
    partial.replace(path)
    for old in sorted(trainer.folder.glob("checkpoint-*.safetensors"))[:-KEPT]:
        old.unlink()
    return path


@torch.no_grad()
def load_state(trainer: Trainer, path: Path) -> None:
    """Put a trainer back where `save_state` left it.

    Raises:
        CheckpointError: the file is damaged or belongs to another recipe.
    """
    try:
        with safe_open(path, framework="pt") as file:
            step = int(file.metadata()["step"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for group, targets in (
            ("parameter", dict(trainer.model.named_parameters())),
            ("buffer", dict(trainer.model.named_buffers())),
            ("average", trainer.average.averages),
        ):
            for name, target in targets.items():
                target.copy_(tensors[f"{group}/{name}"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer/"):
                _, index, key = name.split("/")
                state.setdefault(int(index), {})[key] = tensor
        groups = trainer.optimizer.state_dict()["param_groups"]
        trainer.optimizer.load_state_dict({"state": state, "param_groups": groups})
    except (SafetensorError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: cannot resume this recipe from it: {error}") from error
    trainer.step_number = step
