"""One call from a recipe to a trained model: what `audiocodec.train` and the command `train` do."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.config import find_shipped, load_config, recipes_folder
from audiocodec.errors import InputError
from audiocodec.process import prepare_for_training
from audiocodec.training.checkpoints import checkpoints
from audiocodec.training.config import TrainConfig
from audiocodec.training.folder import BEST_NAME, CONFIG_NAME, MODEL_NAME, check_changes, check_free, clear
from audiocodec.training.log import require_tensorboard
from audiocodec.training.loop import Trainer
from audiocodec.training.processes import Processes, join
from audiocodec.training.starting import open_run_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a training left.

    Attributes:
        folder: the run folder.
        step: steps taken so far, out of `steps`.
        processes: number of processes that trained together.
        model: folder of the model with averaged weights.
        best: folder of the model of the best validation; None if no validation was scored.
        skipped: reason for each recording that could not be read, by name.
    """

    folder: Path
    step: int
    steps: int
    processes: int
    model: Path | None
    best: Path | None
    skipped: Mapping[str, str]


def find_recipe(name_or_path: str | Path) -> Path:
    """The file itself, or the shipped recipe of that name.

    Raises:
        ConfigError: there is neither; lists the recipes.
    """
    return find_shipped(name_or_path, recipes_folder(), "recipe")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a recipe with `overrides` such as `data.batch_size=4`; it may extend a shipped one.

    Raises:
        ConfigError: there is none of that name, or it cannot be read.
    """
    return load_config(TrainConfig, find_recipe(name_or_path), overrides, recipes_folder())


def train(
    recipe: str | Path | TrainConfig,
    *overrides: str,
    output: Path | str | None = None,
    resume: bool = False,
    force: bool = False,
    force_config: bool = False,
    device: str = "auto",
    report: Callable[[int, Mapping[str, float]], None] = lambda step, scalars: None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainResult:
    """Train a model: a recipe (name or file) with `overrides` such as `data.batch_size=4`, or a TrainConfig.

    The run goes to the folder `output`, or `runs/<name of the recipe>`. `resume` continues from its newest
    checkpoint, `force_config` even with another recipe; `force` replaces a run that is there.
    `report(step, scalars)` gets every line of the log. When `stop` returns True after a step, training ends
    with a checkpoint and a model.

    Raises:
        AudioCodecError: recipe, data, device or run folder cannot be used, or the loss is no longer finite.
    """
    prepare_for_training()
    trainer = open_training(
        recipe,
        *overrides,
        output=output,
        resume=resume,
        force=force,
        force_config=force_config,
        device=device,
    )
    trainer.fit(report, stop)
    return result_of(trainer)


def open_training(
    recipe: str | Path | TrainConfig,
    *overrides: str,
    output: Path | str | None = None,
    resume: bool = False,
    force: bool = False,
    force_config: bool = False,
    device: str = "auto",
    processes: Processes | None = None,
    progress: Callable[[float], None] | None = None,
    warn: Callable[[str], None] = logger.warning,
) -> Trainer:
    """Open data and run folder of a training, as `train` does, and resume it if asked for.

    `processes` are the ones to train with; without them, those that torchrun or Accelerate started.
    `progress` gets the share of the recordings that are decoded, `warn` each change of the recipe of a run.

    Raises:
        AudioCodecError: recipe, data, device or run folder cannot be used.
    """
    if resume and force:
        raise InputError("resume continues a run, force replaces it; give one of them")
    if overrides and isinstance(recipe, TrainConfig):
        given = ", ".join(map(repr, overrides))
        raise InputError(
            f"{given}: a TrainConfig takes no overrides; change its fields, or give a name or file"
        )
    config = recipe if isinstance(recipe, TrainConfig) else load_recipe(recipe, overrides)
    folder = Path(output) if output else Path("runs") / config.name
    processes = processes or join(device)
    require_tensorboard()
    with processes.in_turn():
        if processes.first:
            check_free(folder, resume=resume, force=force)
            if resume and not checkpoints(folder):
                warn(f"{folder}: has no checkpoint to resume from; a new run starts")
            elif resume:
                for change in check_changes(folder, config, processes.world_size, force_config):
                    warn(f"{folder / CONFIG_NAME}: {change}")
        data = open_run_data(config, folder, processes, progress)
    trainer = Trainer(config, folder, data, processes)
    if force and processes.first:
        clear(folder)
    if resume:
        trainer.resume()
    return trainer


def result_of(trainer: Trainer) -> TrainResult:
    """What a trainer left after `fit`."""
    folder, sampler, augmenter = trainer.folder, trainer.data.sampler, trainer.feed.augmenter
    model, best = (path if path.exists() else None for path in (folder / MODEL_NAME, folder / BEST_NAME))
    skipped = dict(sampler.skipped) | (augmenter.sources.unreadable if augmenter else {})
    step, steps, processes = trainer.step_number, trainer.config.steps, trainer.processes.world_size
    return TrainResult(folder, step, steps, processes, model, best, skipped)
