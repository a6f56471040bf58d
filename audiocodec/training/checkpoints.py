"""Checkpoints of a run: safetensors files, written beside and renamed; the best and the newest stay."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from audiocodec.errors import CheckpointError, InputError
from audiocodec.outside import MALFORMED
from audiocodec.storage import replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

T = TypeVar("T")

CHECKPOINT = re.compile(r"checkpoint-(\d{9,})\.safetensors")
KEPT = 2
"""Newest checkpoints that stay, whatever their score: a power cut may damage the last one."""
MAX_STEPS = 1 << 53


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a run folder, oldest first; files that were never finished have other names."""
    matches = {path: CHECKPOINT.fullmatch(path.name) for path in folder.glob("checkpoint-*")}
    return sorted((path for path, match in matches.items() if match), key=lambda path: int(path.stem[11:]))


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step in a run folder."""
    return next(reversed(checkpoints(folder)), None)


def best_checkpoint(folder: Path) -> Path | None:
    """The checkpoint in a run folder with the highest score; None if no validation scored one."""
    return next(reversed(_by_score(folder)), None)


def choose_checkpoint(path: Path, best: bool = False) -> Path:
    """The checkpoint at `path`, or the newest or best one in the run folder at `path`.

    Raises:
        InputError: there is none.
    """
    if path.is_file():
        return path
    chosen = best_checkpoint(path) if best else newest_checkpoint(path)
    if chosen is None:
        kind = "checkpoint that a validation scored" if best and checkpoints(path) else "checkpoint"
        hint = "leave out --best" if best and checkpoints(path) else "give a run folder or a checkpoint file"
        raise InputError(f"{path}: has no {kind}; {hint}")
    return chosen


def processes_of(path: Path) -> int | None:
    """Number of processes that trained a checkpoint; None if it is not stored, or the file is damaged."""
    return _stored(path, "processes", int)


def write_checkpoint(
    folder: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    score: float | None,
    keep_best: int,
) -> Path:
    """Write a checkpoint; delete those that are neither among the `keep_best` best nor the newest.

    `score` is the validation score of this step; None keeps the score of a checkpoint of the same step.

    Raises:
        CheckpointError: it cannot be written; earlier checkpoints stay.
    """
    path = folder / f"checkpoint-{step:09d}.safetensors"
    score = _score(path) if score is None and path.exists() else score
    about = {"step": str(step), **metadata} | ({} if score is None else {"score": repr(score)})
    try:
        with replacing(path) as partial:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, about)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error}); earlier checkpoints are whole"
        ) from error
    there = checkpoints(folder)
    best = _by_score(folder)[-keep_best:] if keep_best and len(there) > KEPT else []
    for old in there[:-KEPT]:
        if old not in best:
            old.unlink()
    return path


def read_checkpoint(path: Path) -> tuple[int, dict[str, Tensor], dict[str, str]]:
    """Step, tensors and metadata of a checkpoint.

    Raises:
        CheckpointError: the file is damaged; names an older one, if there is one.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata()
            step = int(metadata["step"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        if not 0 <= step < MAX_STEPS:
            raise ValueError(f"step {step}")
    except (OSError, *MALFORMED) as error:
        raise damaged(path, error) from error
    return step, tensors, metadata


def damaged(path: Path, error: Exception) -> CheckpointError:
    """The error for a damaged checkpoint, with what to do."""
    older = [other for other in checkpoints(path.parent) if other.name < path.name]
    remedy = (
        f"delete it to resume from {older[-1].name}"
        if older
        else "there is no older one; start again with --force"
    )
    return CheckpointError(f"{path}: damaged ({error}); {remedy}")


def _by_score(folder: Path) -> list[Path]:
    """The checkpoints that a validation scored, best last; of equal ones, the newest."""
    scores = {path: score for path in checkpoints(folder) if (score := _score(path)) is not None}
    return sorted(scores, key=lambda path: scores[path])


def _score(path: Path) -> float | None:
    return _stored(path, "score", float)


def _stored(path: Path, name: str, kind: Callable[[str], T]) -> T | None:
    """A number in the metadata of a checkpoint; None if it is missing, or the file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return kind(file.metadata()[name])
    except (OSError, *MALFORMED):
        return None
