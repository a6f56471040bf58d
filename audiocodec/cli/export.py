"""`audiocodec export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import check_there
from audiocodec.cli.parts.output import Output

Source = Annotated[
    Path, typer.Argument(metavar="CHECKPOINT|RUN", help="Checkpoint file, or run folder for its newest one.")
]
Folder = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Model folder to write.")]
Best = Annotated[bool, typer.Option("--best", help="From a run folder: the checkpoint with the best score.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing model.")]


def export(
    source: Source,
    out: Folder,
    best: Best = False,
    force: Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the averaged weights of a training checkpoint as a model folder, for `encode --model`.

    Example: audiocodec export runs/mine --best -o mine
    """
    if best and source.is_file():
        raise typer.BadParameter("--best needs a run folder, not a file")
    output = Output(json, quiet)
    check_there([source])
    from audiocodec.training.checkpoints import choose_checkpoint
    from audiocodec.training.exporting import check_target, export_checkpoint

    check_target(out, force)
    checkpoint = choose_checkpoint(source, best)
    config, step = export_checkpoint(checkpoint, out)
    record = {"model": str(out), "name": config.name, "step": step, "checkpoint": str(checkpoint)}
    output.result(record, f"{out}: {config.name}, step {step}, from {checkpoint}")
