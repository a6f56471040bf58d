"""`audiocodec roundtrip`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiocodec import audio
from audiocodec.audio.files import AUDIO_SUFFIXES
from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import PIPE, Item, end_if_none, expand, open_source, plan, run
from audiocodec.cli.parts.codecs import CodecChoice, check_named, choose_codec
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.storage import make_output_folder
from audiocodec.work import Backend

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

USUAL_BITRATES = (1500.0, 3000.0, 6000.0)
SHORT_NAMES = {"pesq_wb": "PESQ", "stoi": "STOI"}
"""Heads of columns that are not the name of their score."""

Bitrates = Annotated[
    str | None,
    typer.Option(
        "--bitrate",
        metavar="BIT/S,...",
        help="Bitrates of each channel, or `all`; default: 1500,3000,6000 where the model offers them.",
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="DIR", help="Folder for the decoded sound; default: it is not kept."
    ),
]
Metrics = Annotated[
    str,
    typer.Option(
        metavar="NAME,...|all",
        help="Scores to compute, such as pesq_wb,stoi,distillmos; an unknown name prints the list.",
    ),
]


@dataclass(frozen=True)
class RoundtripTask:
    """One file to encode and decode at every bitrate."""

    item: Item
    codec: CodecChoice
    bitrates: tuple[float, ...]
    keep: bool
    force: bool
    limit_seconds: float | None
    denoise: bool
    strict: bool
    metrics: tuple[str, ...]


def roundtrip(
    inputs: options.Inputs,
    bitrate: Bitrates = None,
    out: Folder = None,
    model: options.Model = None,
    codebook: options.Codebook = None,
    store: options.Store = None,
    denoise: options.Denoise = False,
    strict: options.Strict = False,
    limit_seconds: options.LimitSeconds = None,
    metrics: Metrics = "pesq_wb,stoi",
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Encode and decode files, and print the bitrate and scores of each, and their means.

    `bitrate` is 8 * bytes / seconds of the whole file, header and all channels included. `encode_rtf` and
    `decode_rtf` are the processor seconds of one thread per second of sound. Scores compare the decoded sound
    with the input, so noise that --denoise removes lowers them. A star marks scores that a loss of the
    model's training imitates: they are too good.

    Example: audiocodec roundtrip talk.wav --bitrate 1500,3000,6000 -o decoded
    """
    output, scores = Output(json, quiet), _parse_metrics(metrics)
    if out is None:
        items = [Item(*file) for file in expand(inputs, AUDIO_SUFFIXES)]
    else:
        items = plan(inputs, f"{out}/", ".wav", AUDIO_SUFFIXES)
    _choose(bitrate, USUAL_BITRATES)  # before anything is loaded
    check_named(model, None, store)
    end_if_none([(item.source, item.problem) for item in items], output)
    choice = choose_codec(model, device, codebook, store)
    codec = choice.load()
    bitrates = _choose(bitrate, codec.bitrates)
    for rate in bitrates:
        codec.check(rate, denoise)  # one error instead of one a file
    tasks = [
        RoundtripTask(item, choice, bitrates, out is not None, force, limit_seconds, denoise, strict, scores)
        for item in items
    ]
    rows: list[dict[str, Any]] = []
    names = [item.source for item in items]
    with closing(run(roundtrip_file, tasks, names, Backend("local", jobs), output, "files")) as results:
        for number, result in results:
            if isinstance(result, Failure):
                output.error(names[number], result)
                continue
            for row in result:
                output.result(row)
                rows.append(row)
    if rows:
        _print(output, rows, scores, codec.imitates)
    output.finish()


def _print(
    output: Output, rows: Sequence[dict[str, Any]], metrics: Sequence[str], imitated: Sequence[str]
) -> None:
    """Print the means, with the rows above them unless they are many."""
    from audiocodec.roundtrip import summarize

    summary = summarize(rows, output.failed, metrics, imitated)
    output.result(summary)
    means = [{"file": "mean", **mean} for mean in summary["by_bitrate"]]
    shown = [*rows, *means] if len(rows) <= 50 else means
    scores = (f"{SHORT_NAMES.get(name, name)}{'*' if name in imitated else ''}" for name in metrics)
    columns = ("file", "seconds", "nominal bit/s", "bit/s", *scores, "encode RTF", "decode RTF")
    output.table(columns, [_cells(row, metrics) for row in shown])
    if summary["imitated"]:
        output.say("* the model was trained with a loss that imitates this score; judge by the other scores")


def _cells(row: dict[str, Any], metrics: Sequence[str]) -> tuple[Any, ...]:
    """A row or a mean as the cells of a table."""
    rate = row["bitrate"]
    return (
        row["file"],
        round(row["seconds"], 2),
        row["nominal_bitrate"],
        None if rate is None else round(rate),
        *(row[name] for name in (*metrics, "encode_rtf", "decode_rtf")),
    )


def _parse_metrics(text: str) -> tuple[str, ...]:
    """Names of scores with commas between, each once; "all" stands for all that are installed.

    Raises:
        BadParameter: a name is not known, or there is none.
        MissingPackageError: what a score needs is not installed.
    """
    from audiocodec.metrics import METRICS, choose_metrics

    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in METRICS and name != "all"]
    if unknown:
        raise typer.BadParameter(
            f"--metrics {text!r}: no score {unknown[0]!r}; choose from {', '.join(METRICS)}, or all"
        )
    return tuple(metric.name for metric in choose_metrics(names))


def _choose(given: str | None, ladder: Sequence[float]) -> tuple[float, ...]:
    if given is None:
        return tuple(rate for rate in USUAL_BITRATES if rate in ladder) or (ladder[-1],)
    if given == "all":
        return tuple(ladder)
    try:
        return tuple(float(part) for part in given.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--bitrate {given!r}: give numbers with commas between, or all") from error


def roundtrip_file(task: RoundtripTask, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    """Encode, decode and score one file; a row for each bitrate."""
    from audiocodec.roundtrip import roundtrip

    if task.item.problem is not None:
        raise task.item.problem
    wav, sample_rate = _read(task)
    name = "-" if task.item.source == PIPE else str(task.item.source)
    rows: list[dict[str, Any]] = []
    for bitrate in task.bitrates:
        decoded, row = roundtrip(task.codec.load(), wav, sample_rate, bitrate, task.metrics, task.denoise)
        rows.append({"file": name, **row})
        if task.keep:
            target = task.item.target
            make_output_folder(target.parent)
            target = target.with_name(f"{target.stem}.{bitrate:.0f}.wav")
            audio.write(target, decoded, sample_rate, overwrite=task.force)
        progress(len(rows) / len(task.bitrates))
    return rows


def _read(task: RoundtripTask) -> tuple[NDArray[np.float32], int]:
    with open_source(task.item.source, task.strict) as source:
        info = audio.info(source)
        wanted = info.length if task.limit_seconds is None else round(task.limit_seconds * info.sample_rate)
        return audio.read(source, 0, wanted if wanted < info.length else None)
