"""`audiocodec train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.output import Output, tell
from audiocodec.cli.parts.train_display import TrainDisplay
from audiocodec.process import StopSignal, prepare_for_training

Recipe = Annotated[str, typer.Argument(metavar="RECIPE", help="YAML file, or name of a shipped recipe.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes of the recipe, such as data.batch_size=4."),
]
Folder = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Run folder; default: runs/NAME.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue from the newest checkpoint; start new if there is none.")
]
ForceConfig = Annotated[
    bool, typer.Option("--force-config", help="With --resume: continue even with another recipe.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the run in the folder.")]


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
    """Train a model by a recipe. The run folder gets checkpoints, a log, TensorBoard curves and the model.

    Ctrl-C, SIGTERM or SIGHUP ends the training after the current step, with a checkpoint and the model.
    --resume continues it as if it had not been interrupted.

    With --resume, differences between the recipe and the run's config.yaml are printed. A change that makes
    another experiment (learning rate, batch size, losses and the like) needs --force-config. The old file is
    kept as config-STEP.yaml.

    Example: audiocodec train speech-16k data.manifest=recordings.csv -o runs/mine
    """
    if resume and force:
        raise typer.BadParameter("--resume continues a run, --force replaces it; give one of them")
    if force_config and not resume:
        raise typer.BadParameter("--force-config needs --resume")
    output = Output(json, quiet)
    prepare_for_training()
    from audiocodec.training.api import load_recipe, open_training, result_of
    from audiocodec.training.processes import join

    config, processes = load_recipe(recipe, overrides or ()), join(device)
    output = output if processes.first else Output(False, True)
    with output.progress("decoding recordings", 1.0) as progress:
        trainer = open_training(
            config,
            output=out,
            resume=resume,
            force=force,
            force_config=force_config,
            processes=processes,
            progress=progress,
            warn=lambda text: tell(f"warning: {text}"),
        )
    if trainer.step_number:
        output.say(f"resuming from step {trainer.step_number}")
    with StopSignal() as stop, TrainDisplay(output, trainer.step_number, config.steps) as display:
        trainer.fit(display.report, stop)
    result = result_of(trainer)
    record = {"step": result.step, "processes": result.processes, "skipped": len(result.skipped)}
    record |= {name: path and str(path) for name, path in (("model", result.model), ("best", result.best))}
    together = f" in {result.processes} processes" if result.processes > 1 else ""
    skipped = f"; {len(result.skipped)} recordings could not be read" if result.skipped else ""
    output.result(
        {"summary": True, **record},
        f"step {result.step} of {result.steps}{together}; run folder {result.folder}{skipped}",
    )
    stop.exit_if_stopped()
