"""`audiocodec roundtrip`."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from audiocodec.audio.files import AUDIO_SUFFIXES, as_file
from audiocodec.bitstream import ContainerReader
from audiocodec.cli.parts import options
from audiocodec.cli.parts.convert import make_folder
from audiocodec.cli.parts.denoising import check_denoise
from audiocodec.cli.parts.describe import describe
from audiocodec.cli.parts.early import check_named, end_if_none
from audiocodec.cli.parts.jobs import codec_for, run
from audiocodec.cli.parts.output import Failure, Output
from audiocodec.cli.parts.paths import PIPE, Item, expand, plan
from audiocodec.cli.parts.stores import chosen_codebook
from audiocodec.cli.parts.summary import NOTE, cells, columns, summarize
from audiocodec.work import Backend

USUAL = (1500.0, 3000.0, 6000.0)

Bitrates = Annotated[
    str | None,
    typer.Option(
        "--bitrate", metavar="BIT/S,...", help="Steps of the ladder, or `all`; default: 1500,3000,6000."
    ),
]
Folder = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", help="Keep the decoded sound here.")
]
Limit = Annotated[
    float | None, typer.Option(min=0.1, metavar="SECONDS", help="Take only the start of each file.")
]
Metrics = Annotated[
    str,
    typer.Option(
        metavar="NAME,...|all",
        help="Scores: pesq_wb, stoi, distillmos, frame_lock, ...; a wrong one lists them.",
    ),
]


@dataclass(frozen=True)
class RoundtripTask:
    """One file to encode and decode at every bitrate."""

    item: Item
    codec: tuple[str | None, str, str | None, Path | None]
    bitrates: tuple[float, ...]
    keep: bool
    force: bool
    limit_seconds: float | None
    denoise: bool
    metrics: tuple[str, ...]


def roundtrip(
    inputs: options.Inputs,
    bitrate: Bitrates = None,
    out: Folder = None,
    model: options.Model = None,
    codebook: options.Codebook = None,
    store: options.Store = None,
    denoise: options.Denoise = False,
    limit_seconds: Limit = None,
    metrics: Metrics = "pesq_wb,stoi",
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Encode and decode, and print bitrate and scores of each file, and the means.

    `bitrate` is 8 * bytes / seconds of the whole file, header included, all channels together.
    `encode_rtf` and `decode_rtf` are processor seconds, of one thread, for a second of sound. Scores are
    against what went in, so with --denoise the noise that was left out counts against them. A star marks
    those that the model was trained towards: they say too much of it.

    Example: audiocodec roundtrip talk.wav --bitrate 1500,3000,6000 -o decoded
    """
    from audiocodec.cli.parts.scores import parse_metrics

    output, names = Output(json, quiet), parse_metrics(metrics)
    if out is None:
        items = [Item(*found) for found in expand(inputs, AUDIO_SUFFIXES)]
    else:
        items = plan(inputs, f"{out}/", ".wav", AUDIO_SUFFIXES)
    _choose(bitrate, USUAL)  # before anything is loaded
    check_named(model, None, store)
    end_if_none([(item.source, item.problem) for item in items], output)
    codec = codec_for(model, device, None, store)
    codebook = chosen_codebook(codec, codebook, store)
    loading = (model, device, codebook, store)
    codec_for(*loading)  # one error instead of one a file
    check_denoise(codec, denoise)
    bitrates = _choose(bitrate, codec.bitrates)
    for rate in bitrates:
        codec.model.num_quantizers_for(rate)  # one error instead of one a file
    tasks = [
        RoundtripTask(item, loading, bitrates, out is not None, force, limit_seconds, denoise, names)
        for item in items
    ]
    rows: list[dict[str, Any]] = []
    names_of_files, backend = [item.source for item in items], Backend("local", jobs)
    with closing(run(roundtrip_file, tasks, names_of_files, backend, output, "files")) as found:
        for number, result in found:
            if isinstance(result, Failure):
                output.error(items[number].source, result)
                continue
            for row in result:
                output.result(row)
                rows.append(row)
    if rows:
        _tell(output, rows, names, codec.imitates)
    output.finish()


def _tell(
    output: Output, rows: Sequence[dict[str, Any]], metrics: Sequence[str], imitated: Sequence[str]
) -> None:
    """Print the means, with the rows above them unless they are many."""
    summary = summarize(rows, output.failed, metrics, imitated)
    output.result(summary)
    means = [{"file": "mean", **mean} for mean in summary["by_bitrate"]]
    shown = [*rows, *means] if len(rows) <= 50 else means
    output.table(columns(metrics, imitated), [cells(row, metrics) for row in shown])
    if summary["imitated"]:
        output.say(NOTE)


def _choose(given: str | None, ladder: Sequence[float]) -> tuple[float, ...]:
    if given is None:
        return tuple(rate for rate in USUAL if rate in ladder) or (ladder[-1],)
    if given == "all":
        return tuple(ladder)
    try:
        return tuple(float(part) for part in given.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--bitrate {given!r}: give numbers with commas between, or all") from error


def roundtrip_file(task: RoundtripTask, progress: Callable[[float], None]) -> list[dict[str, Any]]:
    """Encode, decode and score one file; a row for each bitrate."""
    from audiocodec import audio

    if task.item.problem is not None:
        raise task.item.problem
    with as_file(task.item.source) as source:
        found = audio.info(source)
        wanted = found.length if task.limit_seconds is None else round(task.limit_seconds * found.sample_rate)
        whole = wanted >= found.length
        wav, sample_rate = audio.read(source, 0, None if whole else wanted)
    rows: list[dict[str, Any]] = []
    for done, bitrate in enumerate(task.bitrates, 1):
        rows.append(_row(task, wav, sample_rate, bitrate))
        progress(done / len(task.bitrates))
    return rows


def _row(task: RoundtripTask, wav: Any, sample_rate: int, bitrate: float) -> dict[str, Any]:
    from audiocodec.cli.parts.scores import scores

    codec = codec_for(*task.codec)
    seconds = wav.shape[1] / sample_rate
    # Processor time does not depend on what else the machine does; of a GPU it says nothing.
    clock = time.process_time if codec.device.type == "cpu" else time.perf_counter
    started = clock()
    data = codec.compress(wav, sample_rate, bitrate, denoise=task.denoise)
    encoded = clock()
    decoded, _ = codec.decompress(data)
    finished = clock()
    if task.keep:
        _keep(task, decoded, sample_rate, bitrate)
    return {
        "file": "-" if task.item.source == PIPE else str(task.item.source),
        **describe(ContainerReader(io.BytesIO(data)), len(data)),
        **scores(wav, decoded, sample_rate, task.metrics),
        "encode_rtf": (encoded - started) / seconds,
        "decode_rtf": (finished - encoded) / seconds,
    }


def _keep(task: RoundtripTask, decoded: Any, sample_rate: int, bitrate: float) -> None:
    from audiocodec import audio

    target = task.item.target
    make_folder(target.parent)
    audio.write(
        target.with_name(f"{target.stem}.{bitrate:.0f}.wav"), decoded, sample_rate, overwrite=task.force
    )
