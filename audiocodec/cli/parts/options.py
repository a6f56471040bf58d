"""Options that several commands have, once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Inputs = Annotated[
    list[Path], typer.Argument(metavar="INPUT", help="Files, folders (searched whole), or - for a pipe.")
]
Out = Annotated[
    str | None,
    typer.Option(
        "-o", "--output", metavar="OUT|DIR|-", help="File, folder, or - for a pipe; default: beside it."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="NAME|PATH", help="A model of `audiocodec models`, a folder or weight file."),
]
Store = Annotated[
    Path | None,
    typer.Option(metavar="DIR", envvar="AUDIOCODEC_STORE", help="Where revisions of codebooks are kept."),
]
Codebook = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Codebooks to encode with (encode: auto chooses); default: the active, or own ones.",
    ),
]
Bitrate = Annotated[
    float | None,
    typer.Option(metavar="BIT/S", help="A step of the ladder, for each channel; default: the highest."),
]
Denoise = Annotated[
    bool, typer.Option("--denoise", help="Leave out noise and echo, with a model that has a switch for it.")
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")]
Jobs = Annotated[
    int, typer.Option(min=1, metavar="N", help="Files at a time, each in a process with one thread.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors.")]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(help="local: processes of this machine; ray: a Ray cluster that sees the same files."),
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST", help="Address of the Ray cluster; default: start one on this machine."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse files that end before the length in their header.")
]
