"""From the options of `evaluate` to a benchmark, and from its rows to files and what is printed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from audiocodec.cli.parts.early import check_named
from audiocodec.cli.parts.jobs import codec_for
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.cli.parts.stores import chosen_codebook
from audiocodec.errors import MissingPackageError

if TYPE_CHECKING:
    from audiocodec.effects import Sources
    from audiocodec.evaluation.benchmark import Benchmark
    from audiocodec.evaluation.coders import Coder, PeerCoder
    from audiocodec.evaluation.conditions import Condition
    from audiocodec.evaluation.rows import Row
    from audiocodec.metrics import Metric
    from audiocodec.work import Backend

COLUMNS = ("codec", "asked", "condition", "bit/s", "PESQ input", "PESQ clean", "STOI input", "STOI clean")
LONGEST_TABLE = 60
FORMATS = ("html", "md")
LONGEST_PROGRAM_SECONDS = 120.0


@dataclass(frozen=True)
class Request:
    """What the options ask for; see `cli.evaluate`."""

    data: Path
    split: str | None
    models: tuple[str, ...]
    codebooks: tuple[str, ...]
    store: Path | None
    denoise: bool
    device: str
    conditions: tuple[str, ...]
    bitrates: tuple[float, ...]
    peers: tuple[PeerCoder, ...]
    metrics: tuple[str, ...] | None
    recognizer: str | None
    language: str | None
    noise: Path | None
    rooms: Path | None
    limit: int | None
    limit_seconds: float | None
    has_clean: bool
    timeout_seconds: float
    formats: tuple[str, ...]


def carry_out(
    request: Request, backend: Backend, folder: Path, output: Output, *, resume: bool, force: bool
) -> None:
    """Prepare, run, write and print; the exit status is 1 when a row failed.

    Raises:
        AudioCodecError: something asked for is not there.
    """
    from audiocodec.evaluation.results import Account, check_folder, describe_run, prepare_folder

    for name in request.models or (None,):
        check_named(name, None, request.store)
    check_folder(folder, resume=resume, force=force)
    started, busy = time.monotonic(), _processor_seconds()
    benchmark = prepare(request, output)
    prepare_folder(folder, resume=resume, force=force)
    names: dict[str, list[str]] = {}
    for name, reason in benchmark.skipped.items():
        names.setdefault(reason, []).append(name)
    for reason, several in names.items():
        output.warn(", ".join(several), f"skipped: {reason}")
    reused: list[int] = []
    with output.progress("rows", len(benchmark)) as bar:

        def show(done: int) -> None:
            if resume and not reused and not done:
                output.warn(folder, "has no row of what was asked for to go on from; all are done anew")
            reused.append(done)
            bar(done)

        rows = benchmark.run(backend, folder, show)
    account = Account(
        datetime.now().astimezone(),
        time.monotonic() - started,
        None if busy is None or backend.kind == "ray" else (_processor_seconds() or 0.0) - busy,
        backend.jobs,
        reused[0],
    )
    write(benchmark, rows, describe_run(benchmark, rows, str(request.data), account), folder, request, output)


def prepare(request: Request, output: Output) -> Benchmark:
    """Open models, peers, recordings and noise, and decide on all rows.

    Raises:
        AudioCodecError: something asked for is not there; says what there is.
    """
    from audiocodec.evaluation.api import find_conditions
    from audiocodec.evaluation.plan import open_coders, plan
    from audiocodec.evaluation.recordings import choose, open_sources, read_recordings
    from audiocodec.evaluation.rows import require_pandas
    from audiocodec.evaluation.tasks import Setup

    require_pandas()
    metrics = _metrics(request)
    recordings = read_recordings(request.data, request.split)
    folders = [
        (kind, folder) for kind, folder in (("noise", request.noise), ("rir", request.rooms)) if folder
    ]
    sources = open_sources(request.data, request.split, recordings, folders)
    conditions = find_conditions(
        request.conditions, sources, own_noise=request.noise is not None, has_clean=request.has_clean
    )
    coders, missing = open_coders([*_models(request), *request.peers])
    sources, reason = _with_rooms(sources, conditions, output)
    setup = Setup(coders, metrics, sources, request.has_clean, request.limit_seconds, request.timeout_seconds)
    with output.progress("trying conditions", len(conditions)) as show:
        found = plan(setup, choose(recordings, request.limit), conditions, request.bitrates, show)
    found.skipped.update({**missing, **reason})
    return found


def _models(request: Request) -> list[Coder]:
    """Each model with each of the codebooks, and beside it with its denoising switch on.

    Workers load by a path that means the same everywhere, whatever the default or the folder is there.
    """
    from audiocodec import pretrained
    from audiocodec.evaluation.coders import ModelCoder

    found: list[Coder] = []
    store, device = request.store and request.store.resolve(), request.device
    paths = [pretrained.find(name).resolve() for name in request.models or (pretrained.default_model(),)]
    codecs = {str(path): codec_for(str(path), device, None, store) for path in paths}
    if not any(codec.model.can_denoise for codec in codecs.values()):
        next(iter(codecs.values())).check(denoise=request.denoise)
    for path, codec in codecs.items():
        switches = (False, True) if request.denoise and codec.model.can_denoise else (False,)
        for named in request.codebooks or (None,):
            codebook = chosen_codebook(codec, named, store)
            source = path if codebook is None else partial(codec_for, path, device, codebook, store)
            found += [ModelCoder(source, device, denoise=on) for on in switches]
    return found


def _metrics(request: Request) -> tuple[Metric, ...]:
    from audiocodec.evaluation.plan import DEFAULT_METRICS
    from audiocodec.evaluation.recognizer import recognizer_metric
    from audiocodec.metrics import choose_metrics

    named = DEFAULT_METRICS if request.metrics is None else request.metrics
    if request.recognizer is None:
        return choose_metrics(named)
    seconds = min(request.timeout_seconds, LONGEST_PROGRAM_SECONDS)
    return choose_metrics([*named, recognizer_metric(request.recognizer, request.language, seconds)])


def _with_rooms(
    sources: Sources, conditions: Sequence[Condition], output: Output
) -> tuple[Sources, dict[str, str]]:
    from audiocodec.evaluation.recordings import with_rooms

    if not any(condition.wants_simulated_rooms for condition in conditions):
        return sources, {}
    try:
        with output.progress("simulating rooms", 1.0) as show:
            return with_rooms(sources, cache_folder(), show), {}
    except MissingPackageError as error:
        return sources, {"simulated rooms": str(error)}


def cache_folder() -> Path:
    """Where what can be made again is kept, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "audiocodec"


def write(
    benchmark: Benchmark,
    rows: Sequence[Row],
    about: dict[str, Any],
    folder: Path,
    request: Request,
    output: Output,
) -> None:
    """Write the files of a run and print its rows and means."""
    from audiocodec.evaluation.results import plain, tally, write_results
    from audiocodec.evaluation.rows import to_frame

    frame = to_frame(rows, benchmark.setup.metrics)
    write_results(folder, frame, about, request.formats, benchmark)
    failed: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        output.result(plain({name: value for name, value in row.items() if name != "stage"}))
        if "error" in row:
            what = row["file"] if row["stage"] == "input" else row["codec"]
            failed.setdefault((what, row["error"]), []).append(row)
    for (what, reason), several in failed.items():
        output.error(what, Failure("EvaluationError", f"{reason} ({len(several)} of {len(rows)} rows)"))
    table = tally(frame)
    output.table(COLUMNS, table if len(table) <= LONGEST_TABLE else tally(frame, by_condition=False))
    kept = {name: value for name, value in about.items() if name not in ("environment", "command")}
    busy, elapsed = about["processor_seconds"], about["elapsed_seconds"]
    share = (
        ""
        if busy is None
        else f", {busy:.0f} processor seconds, {busy / elapsed / about['workers']:.0%} busy"
    )
    output.result(
        plain({"summary": True, **kept}),
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


def parse_peers(
    names: str | None,
    commands: Sequence[str],
    models: Sequence[str],
    lyra_models: Path | None,
    timeout_seconds: float,
) -> tuple[PeerCoder, ...]:
    """Peers by name, with bitrates of their own behind colons, and by command."""
    from audiocodec.evaluation.coders import PeerCoder
    from audiocodec.evaluation.peers import PeerOptions

    folders = {} if lyra_models is None else {"lyra": lyra_models}
    for text in models:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise typer.BadParameter(f"--peer-model {text!r}: write it as name=folder")
        folders[name] = Path(folder)
    settings = PeerOptions(folders, min(timeout_seconds, LONGEST_PROGRAM_SECONDS))
    named = [part.split(":") for part in (names or "").split(",") if part]
    try:
        found = [PeerCoder(name, settings, tuple(map(float, rates))) for name, *rates in named]
    except ValueError as error:
        raise typer.BadParameter(
            f"--peers {names!r}: bitrates behind a colon are numbers of bit/s"
        ) from error
    return (*found, *(PeerCoder(command, settings) for command in commands))


def _processor_seconds() -> float | None:
    """Of this process and those it waited for."""
    times = os.times()
    return (
        times.user + times.system + times.children_user + times.children_system
        if os.name == "posix"
        else None
    )
