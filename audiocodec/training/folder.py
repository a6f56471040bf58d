"""The folder of a run: what it holds, who may start or go on there, and with which changes of the recipe."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from audiocodec.config import dump_yaml, load_config, to_mapping
from audiocodec.errors import ConfigError, InputError
from audiocodec.storage import new_file
from audiocodec.training.checkpoints import CHECKPOINT, checkpoints, newest_checkpoint, processes_of
from audiocodec.training.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG_NAME = "config.yaml"
LOG_NAME = "log.jsonl"
MODEL_NAME, BEST_NAME = "model", "model-best"
TENSORBOARD_NAME = "tensorboard"
OURS = re.compile(
    rf"{CHECKPOINT.pattern}|\.checkpoint-\d+\.safetensors\.[0-9a-f]+\.part|bad-batch-\d+(-rank\d+)?\.npy"
    rf"|{CONFIG_NAME}|config-\d{{9,}}\.yaml|{LOG_NAME}|{MODEL_NAME}|{BEST_NAME}|{TENSORBOARD_NAME}|report\.html"
)
"""Names of what a run writes; report.html is from earlier versions."""
HARMLESS = frozenset(
    {
        "name", "steps", "compile", "log_every", "validate_every", "checkpoint_minutes", "keep_best",
        "data.cache", "data.prefetch", "data.workers", "data.on_device",
    }
)  # fmt: skip
"""Keys of a recipe that change neither what a step learns nor what scores mean: names, length and place of a
run, and how often it logs. A change of any other key makes another experiment."""
PROCESSES = "processes"
"""Listed like a key of the recipe: the number of processes, as each draws its own examples."""


class Change(NamedTuple):
    """A key of a recipe with its old and new value; None where it is not set."""

    key: str
    old: Any
    new: Any

    @property
    def harmless(self) -> bool:
        """Whether the run stays the same experiment."""
        return self.key in HARMLESS

    def __str__(self) -> str:
        old, new = ("nothing" if value is None else value for value in (self.old, self.new))
        return f"{self.key}: {old} -> {new}"


def find_changes(folder: Path, config: TrainConfig, processes: int) -> list[Change]:
    """Compare `config` and a number of processes with those of the run in `folder`, key by key.

    Raises:
        ConfigError: its config.yaml is missing or cannot be understood.
    """
    before = _flat(to_mapping(load_config(TrainConfig, folder / CONFIG_NAME, extend=False)))
    now = _flat(to_mapping(config))
    newest = newest_checkpoint(folder)
    before[PROCESSES], now[PROCESSES] = (None if newest is None else processes_of(newest)), processes
    if before[PROCESSES] is None:  # an old checkpoint, or a damaged one
        del before[PROCESSES], now[PROCESSES]
    keys = dict.fromkeys([*before, *now])
    changes = [Change(key, before.get(key), now.get(key)) for key in keys]
    return [change for change in changes if change.old != change.new]


def check_changes(folder: Path, config: TrainConfig, processes: int, force: bool) -> list[Change]:
    """Find the changes with which the run in `folder` would go on; `force` allows all.

    Raises:
        InputError: some make another experiment; names them.
        ConfigError: the recipe so far cannot be read.
    """
    try:
        changes = find_changes(folder, config, processes)
    except ConfigError as error:
        if force:
            return []
        raise ConfigError(
            f"{error}; so changes cannot be found; restore the file of the run, or go on with --force-config"
        ) from error
    others = [str(change) for change in changes if not change.harmless]
    if others and not force:
        raise InputError(
            f"{folder}: this recipe is another experiment: {'; '.join(others)}. Keep the old values,"
            " go on with --force-config, or choose another folder with --output"
        )
    return changes


def write_config(folder: Path, config: TrainConfig, step: int) -> None:
    """Write config.yaml; a different old one is kept as config-STEP.yaml, `step` being its last."""
    path, content = folder / CONFIG_NAME, dump_yaml(config).encode()
    old = path.read_bytes() if path.is_file() else content
    kept = folder / f"config-{step:09d}.yaml"
    if old != content and not kept.exists():  # a recipe that took no step since is not kept
        with new_file(kept) as part:
            part.write_bytes(old)
    with new_file(path, overwrite=True) as part:
        part.write_bytes(content)


def check_free(folder: Path, *, resume: bool, force: bool) -> None:
    """Make sure that a run may start in `folder`: it has none yet, or that one is resumed or replaced.

    Raises:
        InputError: there is a run and neither `resume` nor `force` is given, or files of something else.
    """
    names = {path.name for path in _traces(folder)}
    if not names or (resume and checkpoints(folder)):
        return
    if not {CONFIG_NAME, LOG_NAME} <= names:
        raise InputError(f"{folder}: has {', '.join(sorted(names))} but no run; choose another folder")
    if not (resume or force):
        raise InputError(
            f"{folder}: holds a run already; continue it with --resume, replace it with --force,"
            " or choose another folder with --output"
        )


def clear(folder: Path) -> None:
    """Delete what a run leaves (checkpoints, log, model); not its cache of decoded samples."""
    for path in _traces(folder):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _traces(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if OURS.fullmatch(path.name)]


def _flat(mapping: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        inner = _flat(cast("dict[str, Any]", value), f"{start}{key}.") if isinstance(value, dict) else {}
        flat |= inner or {f"{start}{key}": value}
    return flat
