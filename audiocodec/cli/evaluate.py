"""`audiocodec evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.evaluation import (
    Request,
    carry_out,
    parse_bitrates,
    parse_formats,
    parse_peers,
)
from audiocodec.cli.parts.output import Output
from audiocodec.process import available_cpus
from audiocodec.work import Backend

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME|PATH", help="A model, as often as you like; default: the pretrained one."
    ),
]
Data = Annotated[
    Path,
    typer.Option("--data", metavar="MANIFEST|DIR", help="Recordings: a CSV or JSONL manifest, or a folder."),
]
Folder = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where the results go.")]
Split = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Of the manifest or folder, when it has splits; `all` for all."),
]
Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--conditions",
        metavar="FILE|NAME",
        help="quick, default, full, a YAML file, or one condition such as white_10db; as often as you like.",
    ),
]
Bitrates = Annotated[
    str | None, typer.Option(metavar="BIT/S,...", help="Steps of the ladder; default: 1500,3000,6000.")
]
Peers = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...", help="Other codecs, such as opus,lyra; opus:6000:12000 names its bitrates."
    ),
]
PeerCommands = Annotated[
    list[str] | None,
    typer.Option("--peer", metavar="'NAME=CMD'", help="Any codec: a command with {in}, {out} and {kbps}."),
]
PeerModels = Annotated[
    list[str] | None,
    typer.Option("--peer-model", metavar="NAME=DIR", help="Where the weights of encodec, dac or mimi lie."),
]
LyraModels = Annotated[Path | None, typer.Option(metavar="DIR", help="Where the .tflite files of Lyra lie.")]
Noise = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Your own noise: names of its folders or files are its types."),
]
Rooms = Annotated[Path | None, typer.Option(metavar="DIR", help="Your own room responses.")]
Metrics = Annotated[str | None, typer.Option(metavar="NAME,...|all", help="What to score.")]
Recognizer = Annotated[
    str | None,
    typer.Option(
        "--asr",
        metavar="DIR|'CMD'",
        help="Score word errors too, by a Whisper model or a command that prints the words in {in}.",
    ),
]
Language = Annotated[
    str | None, typer.Option("--asr-language", metavar="CODE", help="Of the speech, such as en; for Whisper.")
]
Codebooks = Annotated[
    list[str] | None,
    typer.Option(
        "--codebook",
        metavar="ID",
        help="As often as you like; default: those active in the store.",
    ),
]
Denoise = Annotated[
    bool,
    typer.Option("--denoise", help="Models with a denoising switch also with it on, beside themselves."),
]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Take so many files, spread over speakers.")
]
LimitSeconds = Annotated[
    float | None, typer.Option(min=0.1, metavar="SECONDS", help="Take only the start of each file.")
]
Jobs = Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes; default: one a core.")]
Timeout = Annotated[float, typer.Option(min=1.0, metavar="SECONDS", help="A row that takes longer fails.")]
NoClean = Annotated[
    bool,
    typer.Option(
        "--no-clean", help="The recordings are noisy themselves: score nothing against them but coding."
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the rows that are there; do failed ones again.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace the results that are there.")]
Formats = Annotated[str, typer.Option("--format", metavar="html,md", help="Reports to write.")]


def evaluate(
    data: Data,
    out: Folder,
    model: Models = None,
    codebook: Codebooks = None,
    store: options.Store = None,
    denoise: Denoise = False,
    split: Split = "test",
    conditions: Conditions = None,
    bitrates: Bitrates = None,
    peers: Peers = None,
    peer: PeerCommands = None,
    peer_model: PeerModels = None,
    lyra_models: LyraModels = None,
    noise: Noise = None,
    rooms: Rooms = None,
    metrics: Metrics = None,
    asr: Recognizer = None,
    asr_language: Language = None,
    limit: Limit = None,
    limit_seconds: LimitSeconds = None,
    no_clean: NoClean = False,
    engine: options.Engine = "local",
    address: options.Address = None,
    jobs: Jobs = None,
    timeout: Timeout = 300.0,
    resume: Resume = False,
    force: Force = False,
    formats: Formats = "html",
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure how codecs hold up: files x conditions x codecs x bitrates, with a report.

    Writes rows.parquet, rows.csv, summary.json and report.html into the folder. A run that was ended, in
    whatever way, goes on with --resume.

    Example: audiocodec evaluate --data recordings --noise noises --conditions quick --peers opus -o results
    """
    if resume and force:
        raise typer.BadParameter("--resume goes on with a run, --force replaces it; give one of them")
    request = Request(
        data=data, split=None if split == "all" else split, limit=limit, limit_seconds=limit_seconds,
        models=tuple(model or ()), codebooks=tuple(codebook or ()), store=store, denoise=denoise,
        conditions=tuple(conditions or (["clean"] if no_clean else ["default"])), noise=noise, rooms=rooms,
        bitrates=parse_bitrates(bitrates), has_clean=not no_clean, device=device,
        peers=parse_peers(peers, peer or (), peer_model or (), lyra_models, timeout),
        metrics=None if metrics is None else tuple(metrics.split(",")), recognizer=asr, language=asr_language,
        timeout_seconds=timeout, formats=parse_formats(formats),
    )  # fmt: skip
    where = Backend(engine, jobs or available_cpus(), address)
    carry_out(request, where, out, Output(json, quiet), resume=resume, force=force)
