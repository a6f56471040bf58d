"""Where a command does its work: options of `encode` and `evaluate`, and files fit for a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from audiocodec.cli.parts.paths import PIPE, Item
from audiocodec.storage import already_there, real

Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Processes of this machine, or a Ray cluster, whose machines see the same files."),
]
Address = Annotated[
    str | None, typer.Option(metavar="HOST", help="Of the Ray cluster; default: one on this machine.")
]


def fit_for_cluster(item: Item, force: bool) -> Item:
    """The same file by whole paths; one whose output exists is refused here, unless `force`.

    Workers then always replace: one that does a file again, because another died of it, finds its output.
    """
    if PIPE in (item.source, item.target):
        raise typer.BadParameter("a pipe cannot be read on a cluster; name files, and a folder with -o")
    problem = item.problem
    if problem is None and item.target.exists() and not force:
        problem = already_there(item.target)
    return Item(real(item.source), real(item.target), problem)


def whole_path(name: str | None) -> str | None:
    """The name of a pretrained model as it is, a path from the root on."""
    return str(Path(name).resolve()) if name is not None and Path(name).exists() else name
