"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT", help="Files, folders (searched with their subfolders), or - for standard input."
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT|DIR|-",
        help="File, folder, or - for standard output; default: beside the input.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH",
        help="Model listed by `audiocodec models`, or path of a model folder or weight file; default: the"
        " default model of that list.",
    ),
]
Store = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", envvar="AUDIOCODEC_STORE", help="Folder that holds revisions of codebooks (a store)."
    ),
]
MadeStore = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        envvar="AUDIOCODEC_STORE",
        help="Folder that keeps revisions of codebooks (a store); made if it does not exist.",
    ),
]
Codebook = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Identity of the codebooks to encode with; default: those active in the store, or of the model.",
    ),
]
Bitrate = Annotated[
    float | None,
    typer.Option(
        metavar="BIT/S", help="Bitrate of each channel, one that the model offers; default: the highest."
    ),
]
Denoise = Annotated[
    bool, typer.Option("--denoise", help="Remove noise and echo; needs a model with a denoising switch.")
]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="Device that computes: auto (a GPU if there is one), cpu or cuda.")
]
Jobs = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Number of files processed at once, each in a process with one thread."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace output files that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(help="local: processes of this machine; ray: a Ray cluster that sees the same files."),
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST", help="Address of the Ray cluster; default: start one on this machine."),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of the random generator.")]
LimitSeconds = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Use only this many seconds from the start of each file."),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse files that end before the length in their header.")
]
