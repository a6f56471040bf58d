"""`audiocodec export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.early import check_there
from audiocodec.cli.parts.output import Output

Source = Annotated[
    Path, typer.Argument(metavar="CHECKPOINT|RUN", help="A checkpoint, or a run folder, whose newest it is.")
]
Folder = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The model folder to write.")]
Best = Annotated[bool, typer.Option("--best", help="Of a run folder, the checkpoint with the best score.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the model that is there.")]


def export(
    source: Source,
    out: Folder,
    best: Best = False,
    force: Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a model of a training checkpoint: its averaged weights, as `encode --model` takes them.

    Example: audiocodec export runs/mine --best -o mine
    """
    if best and source.is_file():
        raise typer.BadParameter("--best chooses from a run folder; give the folder, or leave --best out")
    output = Output(json, quiet)
    check_there([source])
    from audiocodec.training.run.exporting import check_target, choose_checkpoint, export_checkpoint

    check_target(out, force)
    checkpoint = choose_checkpoint(source, best)
    config, step = export_checkpoint(checkpoint, out)
    record = {"model": str(out), "name": config.name, "step": step, "checkpoint": str(checkpoint)}
    output.result(record, f"{out}: {config.name}, step {step}, from {checkpoint}")
