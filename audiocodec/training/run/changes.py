"""What a run would go on with that it did not have before: told key by key, refused unless asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from audiocodec.config import dump_yaml, load_config, to_mapping
from audiocodec.errors import ConfigError, InputError
from audiocodec.storage import new_file
from audiocodec.training.config import TrainConfig
from audiocodec.training.run.folder import CONFIG_NAME
from audiocodec.training.run.state import newest_checkpoint, processes_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HARMLESS = frozenset(
    {
        "name", "steps", "compile", "log_every", "validate_every", "checkpoint_minutes", "keep_best",
        "data.cache", "data.prefetch", "data.workers", "data.on_device",
    }
)  # fmt: skip
"""Keys of a recipe that neither change what a step learns nor what scores mean: how long and where a run goes
on, what it is called, how often it tells of itself. All others make another experiment."""
PROCESSES = "processes"
"""Stands among the keys for how many there are: each draws its own examples."""


class Change(NamedTuple):
    """A key of a recipe whose value is another one; None where it is not named."""

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
    if before[PROCESSES] is None:  # of a run from before this was noted
        del before[PROCESSES], now[PROCESSES]
    keys = dict.fromkeys([*before, *now])
    found = [Change(key, before.get(key), now.get(key)) for key in keys]
    return [change for change in found if change.old != change.new]


def check_changes(folder: Path, config: TrainConfig, processes: int, force: bool) -> list[Change]:
    """Find the changes with which the run in `folder` may go on; `force` allows all.

    Raises:
        InputError: some make another experiment; names them.
        ConfigError: what there was before is not known.
    """
    try:
        found = find_changes(folder, config, processes)
    except ConfigError as error:
        if force:
            return []
        raise ConfigError(
            f"{error}; so what changed is not known; put the run's file back, or go on with --force-config"
        ) from error
    others = [str(change) for change in found if not change.harmless]
    if others and not force:
        raise InputError(
            f"{folder}: to go on would be another experiment: {'; '.join(others)}. Leave these as they were,"
            " go on with --force-config, or choose another folder with --output"
        )
    return found


def write_config(folder: Path, config: TrainConfig, step: int) -> None:
    """Write config.yaml; one that says something else is kept as config-STEP.yaml: it held up to `step`."""
    path, content = folder / CONFIG_NAME, dump_yaml(config).encode()
    old = path.read_bytes() if path.is_file() else content
    kept = folder / f"config-{step:09d}.yaml"
    if old != content and not kept.exists():  # what came between has no step that is left
        with new_file(kept) as part:
            part.write_bytes(old)
    with new_file(path, overwrite=True) as part:
        part.write_bytes(content)


def _flat(mapping: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """Dotted keys."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        inner = _flat(cast("dict[str, Any]", value), f"{start}{key}.") if isinstance(value, dict) else {}
        found |= inner or {f"{start}{key}": value}
    return found
