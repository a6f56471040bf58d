"""`audiocodec evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.codecs import CodecChoice, check_named, chosen_codebook, codec_for
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.process import available_cpus
from audiocodec.storage import plain
from audiocodec.work import Backend

if TYPE_CHECKING:
    from audiocodec.evaluation.api import EvaluationConfig, Results
    from audiocodec.evaluation.coders import Coder
    from audiocodec.evaluation.peers import PeerOptions

COLUMNS = (
    "codec",
    "asked bit/s",
    "condition",
    "bit/s",
    "PESQ input",
    "PESQ clean",
    "STOI input",
    "STOI clean",
)
LONGEST_TABLE = 60
"""Rows of the printed table; a longer one has a row for each codec and bitrate, means over all conditions."""
FORMATS = ("html", "md")
LONGEST_PROGRAM_SECONDS = 120.0

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        help="Model to use; can be repeated. Without it, the default pretrained model is used.",
    ),
]
Data = Annotated[
    Path,
    typer.Option("--data", metavar="MANIFEST|DIR", help="Recordings: a CSV or JSONL manifest, or a folder."),
]
Folder = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write results to.")]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Split of the data to use, if it has splits: train, valid or test; all: use everything.",
    ),
]
Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--conditions",
        metavar="FILE|NAME",
        help="Conditions to test under: quick, default, full, a YAML file, or the name of one condition such"
        " as white_10db; can be repeated. Default: default, or clean with --no-clean.",
    ),
]
Bitrates = Annotated[
    str | None,
    typer.Option(
        metavar="BIT/S,...", help="Bitrates to test; default: those of 1500, 3000 and 6000 that a model has."
    ),
]
Peers = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help="Other codecs to compare with, such as opus,lyra; opus:6000:12000 sets the bitrates of one.",
    ),
]
PeerCommands = Annotated[
    list[str] | None,
    typer.Option(
        "--peer",
        metavar="'NAME=CMD'",
        help="Compare with any codec: a command with {in}, {out} and {kbps}; can be repeated.",
    ),
]
PeerModels = Annotated[
    list[str] | None,
    typer.Option(
        "--peer-model",
        metavar="NAME=DIR",
        help="Folder with the weights of encodec, dac or mimi; can be repeated.",
    ),
]
LyraModels = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder with the .tflite files of Lyra.")
]
Noise = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder with your own noise; the names of its folders or files are the noise types.",
    ),
]
Rooms = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder with your own room impulse responses.")
]
Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...|all",
        help="Metrics to compute; all: every metric that is installed. Default: PESQ, STOI, ESTOI, SI-SDR,"
        " mel distance and log-spectral distance.",
    ),
]
Recognizer = Annotated[
    str | None,
    typer.Option(
        "--asr",
        metavar="DIR|'CMD'",
        help="Compute word error rates too, with the folder of a Whisper model, or a command that prints the"
        " words in {in}.",
    ),
]
Language = Annotated[
    str | None,
    typer.Option("--asr-language", metavar="CODE", help="Language of the speech for Whisper, such as en."),
]
Codebooks = Annotated[
    list[str] | None,
    typer.Option(
        "--codebook",
        metavar="ID",
        help="Codebooks to use; can be repeated. Default: those that are active in the store, or of the"
        " model.",
    ),
]
Denoise = Annotated[
    bool,
    typer.Option(
        "--denoise", help="Test models that can denoise twice: with denoising off and with denoising on."
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Number of files to use, spread over speakers; default: all."),
]
Jobs = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Number of processes; default: one for each core.")
]
Timeout = Annotated[
    float,
    typer.Option(min=1.0, metavar="SECONDS", help="Time limit for one row; a row that takes longer fails."),
]
NoClean = Annotated[
    bool,
    typer.Option(
        "--no-clean",
        help="The recordings are noisy: compare the output with the input only, not with a clean original.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Continue an interrupted run: keep its rows, and compute failed rows again."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace existing results.")]
Formats = Annotated[
    str, typer.Option("--format", metavar="html,md", help="Formats of the report: html, md, or both.")
]


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
    limit_seconds: options.LimitSeconds = None,
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
    """Score codecs on recordings under noise and other conditions; write a row for each result, and a report.

    Writes rows.parquet, rows.csv, summary.json and report.html. --resume continues an interrupted run.

    Example: audiocodec evaluate --data recordings --noise noises --conditions quick --peers opus -o results
    """
    _check(model, store, resume and force)
    from audiocodec.evaluation.api import DEFAULT_METRICS, EvaluationConfig, evaluate_to_folder
    from audiocodec.evaluation.peers import open_peers

    config = EvaluationConfig(
        data, tuple(conditions or (["clean"] if no_clean else ["default"])), parse_bitrates(bitrates),
        DEFAULT_METRICS if metrics is None else metrics.split(","), None if split == "all" else split,
        noise, rooms, not no_clean, limit, limit_seconds, timeout,
    )  # fmt: skip
    output, reports = Output(json, quiet), parse_formats(formats)
    programs = parse_peer_models(peer_model or (), lyra_models, timeout)
    others, missing = open_peers(parse_peers(peers, peer or ()), programs)
    models = open_models(model or (), codebook or (), store and store.resolve(), device, denoise)
    results = evaluate_to_folder(
        out, chain(models, others), _with_recognizer(config, asr, asr_language),
        Backend(engine, jobs or available_cpus(), address), skipped=missing, formats=reports,
        resume=resume, force=force, progress=output.progress, warn=output.warn,
    )  # fmt: skip
    _print(results, out, output)


def _check(models: Sequence[str] | None, store: Path | None, both: bool) -> None:
    if both:
        raise typer.BadParameter("--resume continues a run, --force replaces it; give one of them")
    for name in models or (None,):
        check_named(name, None, store)


def open_models(
    models: Sequence[str], codebooks: Sequence[str], store: Path | None, device: str, denoise: bool
) -> Iterator[Coder]:
    """Each model with each of the codebooks, and again with denoising on.

    Workers load by a path that means the same everywhere, whatever the default is there.

    Raises:
        RegistryError: a model or codebook is not there.
        InputError: `denoise`, and no model can do that.
    """
    from audiocodec import pretrained
    from audiocodec.evaluation.coders import ModelCoder

    paths = [pretrained.find(name).resolve() for name in models or (pretrained.default_model(),)]
    codecs = {str(path): codec_for(str(path), device, None, store) for path in paths}
    if not any(codec.model.can_denoise for codec in codecs.values()):
        next(iter(codecs.values())).check(denoise=denoise)
    for path, codec in codecs.items():
        switches = (False, True) if denoise and codec.model.can_denoise else (False,)
        for named in codebooks or (None,):
            codebook_id = chosen_codebook(codec, named, store)
            choice = CodecChoice(path, device, codebook_id, store)
            for switch in switches:
                yield ModelCoder(path if codebook_id is None else choice.load, device, denoise=switch)


def _with_recognizer(config: EvaluationConfig, named: str | None, language: str | None) -> EvaluationConfig:
    from audiocodec.evaluation.recognizer import recognizer_metric

    if named is None:
        return config
    seconds = min(config.timeout_seconds, LONGEST_PROGRAM_SECONDS)
    return replace(config, metrics=[*config.metrics, recognizer_metric(named, language, seconds)])


def _print(results: Results, folder: Path, output: Output) -> None:
    """Print every row as JSON, or means as a table; the exit status is 1 when a row failed."""
    from audiocodec.evaluation.results import tally

    rows, frame, about = results
    failed: dict[tuple[str, str], int] = {}
    for row in rows:
        output.result(plain({name: value for name, value in row.items() if name != "stage"}))
        if "error" in row:
            which = row["file"] if row["stage"] == "input" else row["codec"], row["error"]
            failed[which] = failed.get(which, 0) + 1
    for (name, reason), count in failed.items():
        output.error(name, Failure("EvaluationError", f"{reason} ({count} of {len(rows)} rows)"))
    table = tally(frame)
    output.table(COLUMNS, table if len(table) <= LONGEST_TABLE else tally(frame, by_condition=False))
    busy, elapsed = about["processor_seconds"], about["elapsed_seconds"]
    share = "" if busy is None else (
        f", {busy:.0f} s of processor time, cores {busy / elapsed / about['workers']:.0%} busy"
    )  # fmt: skip
    output.result(
        plain({"summary": True, **{k: v for k, v in about.items() if k not in ("environment", "command")}}),
        f"{len(rows)} rows ({about['failed_rows']} failed) in {elapsed:.0f} s{share}; results in {folder}",
    )
    output.finish()


def parse_bitrates(text: str | None) -> tuple[float, ...]:
    """Numbers with commas between."""
    try:
        return tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError as error:
        raise typer.BadParameter(f"--bitrates {text!r}: give numbers with commas between") from error


def parse_formats(text: str) -> tuple[str, ...]:
    """Names of reports with commas between."""
    names = tuple(part for part in text.split(",") if part)
    if not set(names) <= set(FORMATS):
        raise typer.BadParameter(f"--format {text!r}: choose from {', '.join(FORMATS)}")
    return names


def parse_peers(names: str | None, commands: Sequence[str]) -> list[tuple[str, tuple[float, ...]]]:
    """Peers by name, each with the bitrates behind its colons, and by command."""
    named = [part.split(":") for part in (names or "").split(",") if part]
    try:
        specs = [(name, tuple(map(float, rates))) for name, *rates in named]
    except ValueError as error:
        raise typer.BadParameter(
            f"--peers {names!r}: bitrates behind a colon are numbers of bit/s"
        ) from error
    return [*specs, *((command, ()) for command in commands)]


def parse_peer_models(models: Sequence[str], lyra_models: Path | None, timeout_seconds: float) -> PeerOptions:
    """Where the models of peers are, and how long their programs may run."""
    from audiocodec.evaluation.peers import PeerOptions

    folders = {} if lyra_models is None else {"lyra": lyra_models}
    for text in models:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise typer.BadParameter(f"--peer-model {text!r}: write it as name=folder")
        folders[name] = Path(folder)
    return PeerOptions(folders, min(timeout_seconds, LONGEST_PROGRAM_SECONDS))
