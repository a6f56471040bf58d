"""`audiocodec train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.output import Output
from audiocodec.cli.parts.train_display import TrainDisplay
from audiocodec.process import StopSignal, prepare_for_training

if TYPE_CHECKING:
    from audiocodec.training.config import TrainConfig

Recipe = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a recipe that comes along.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the recipe, such as data.batch_size=4."),
]
Folder = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="The run folder; default: runs/NAME.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the newest checkpoint; where there is none, start.")
]
ForceConfig = Annotated[
    bool, typer.Option("--force-config", help="Go on with --resume as another experiment than it was.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the run in this folder.")]


def train(
    recipe: Recipe,
    overrides: Overrides = None,
    out: Folder = None,
    resume: Resume = False,
    force_config: ForceConfig = False,
    force: Force = False,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a model as a recipe says, into a run folder with checkpoints, log and the model itself.

    Ctrl-C, SIGTERM or SIGHUP ends it after a step, with a checkpoint and the model; --resume then goes on as
    if nothing had been. What the recipe says otherwise than the run's config.yaml is shown; learning rate,
    batch, losses and whatever else makes another experiment need --force-config. The old file is kept as
    config-STEP.yaml.

    Example: audiocodec train speech-16k data.manifest=recordings.csv -o runs/mine
    """
    if resume and force:
        raise typer.BadParameter("--resume goes on with a run, --force replaces it; give one of them")
    if force_config and not resume:
        raise typer.BadParameter("--force-config is for runs that go on; give --resume too")
    output = Output(json, quiet)
    prepare_for_training()
    from audiocodec.training.data.opening import open_data
    from audiocodec.training.engine.processes import join
    from audiocodec.training.loop import Trainer
    from audiocodec.training.recipes import load_recipe
    from audiocodec.training.run.folder import BEST_NAME, MODEL_NAME, check_free, clear
    from audiocodec.training.run.log import require_tensorboard

    config = load_recipe(recipe, overrides or ())
    folder = out or Path("runs") / config.name
    processes = join(device)
    output = output if processes.first else Output(False, True)
    require_tensorboard()
    with processes.in_turn():
        if processes.first:
            check_free(folder, resume=resume, force=force)
            if resume:
                _compare(folder, config, processes.world_size, force_config, output)
        with output.progress("decoding recordings", 1.0) as show:
            data = open_data(config, folder, show, processes.rank, processes.world_size, processes.device)
    trainer = Trainer(config, folder, data, processes)
    if force and processes.first:
        clear(folder)
    if resume and trainer.resume():
        output.say(f"going on from step {trainer.step_number}")
    with StopSignal() as stop, TrainDisplay(output, trainer.step_number, config.steps) as display:
        trainer.fit(display.report, stop)
    together = f" by {processes.world_size} processes" if processes.world_size > 1 else ""
    record = {"step": trainer.step_number, "processes": processes.world_size}
    output.result(
        {"summary": True, **record, "model": _there(folder / MODEL_NAME), "best": _there(folder / BEST_NAME)},
        f"step {trainer.step_number} of {config.steps}{together}; run folder {folder}",
    )
    stop.exit_if_stopped()


def _there(path: Path) -> str | None:
    return str(path) if path.exists() else None


def _compare(folder: Path, config: TrainConfig, processes: int, force: bool, output: Output) -> None:
    """Say what the run in `folder` would go on with that it did not have before, or that there is none.

    Raises:
        AudioCodecError: it would be another experiment, and `force` is False.
    """
    from audiocodec.training.run.changes import check_changes
    from audiocodec.training.run.folder import CONFIG_NAME, checkpoints

    if not checkpoints(folder):
        output.warn(folder, "has no checkpoint to go on from; a new run starts")
        return
    for change in check_changes(folder, config, processes, force):
        output.warn(folder / CONFIG_NAME, f"{change}")
