"""`audiocodec decode`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiocodec.audio.writing import clipping
from audiocodec.bitstream import open_container
from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import Item, convert, open_item, plan
from audiocodec.cli.parts.codecs import CodecChoice, check_named
from audiocodec.cli.parts.output import Output
from audiocodec.work import Backend

if TYPE_CHECKING:
    from audiocodec.files import Decoded

Start = Annotated[float, typer.Option(min=0.0, metavar="SECONDS", help="Start of the part to decode.")]
Duration = Annotated[
    float | None,
    typer.Option(min=0.0, metavar="SECONDS", help="Length of the part to decode; default: up to the end."),
]
Conceal = Annotated[bool, typer.Option("--conceal", help="Fill damaged parts instead of refusing the file.")]
ConcealLimit = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        help="With --conceal: longest total loss that is filled; default: the length that can be read, but"
        " at least 5 s.",
    ),
]
Rescale = Annotated[
    bool,
    typer.Option("--rescale", help="Lower the level of files that would be clipped; they are decoded twice."),
]
Subtype = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Sample format, such as PCM_24 or FLOAT; default: PCM_16 where the format has it.",
    ),
]


@dataclass(frozen=True)
class DecodeTask:
    """One file to decode; `arguments` are those of `Codec.decompress_file`."""

    item: Item
    codec: CodecChoice
    arguments: dict[str, Any]


def decode(
    inputs: options.Inputs,
    out: options.Out = None,
    start: Start = 0.0,
    duration: Duration = None,
    conceal: Conceal = False,
    conceal_limit: ConcealLimit = None,
    rescale: Rescale = False,
    subtype: Subtype = None,
    model: options.Model = None,
    store: options.Store = None,
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Decode .nac files to sound files of the original sample rate, channels and length.

    The suffix of OUT chooses the format, such as .wav or .flac. A file names its model and its codebooks:
    --model replaces the model, and codebooks that are not the model's own are looked up in --store.
    --conceal repeats the sound before a damaged part and fades it to silence; files that lost more than
    --conceal-limit are refused.

    Example: audiocodec decode talk.nac -o talk.wav
    """
    items = plan(inputs, out, ".wav", {".nac"}, force)
    check_named(model, None, store)
    if conceal_limit is not None and not conceal:
        raise typer.BadParameter("--conceal-limit is for --conceal; give both")
    arguments = dict(
        start=start,
        duration=duration,
        conceal=conceal,
        conceal_limit=conceal_limit,
        rescale=rescale,
        subtype=subtype,
        overwrite=force,
    )

    def load() -> Callable[[Item], DecodeTask]:
        codec = CodecChoice(model, device, None, store)
        if model is not None:
            codec.load()  # one error instead of one a file
        return lambda item: DecodeTask(item, codec, arguments)

    convert(decode_file, load, items, Backend("local", jobs), Output(json, quiet), _line)


def decode_file(task: DecodeTask, progress: Callable[[float], None]) -> dict[str, Any]:
    """Decode one file; returns what is printed about it."""
    with open_item(task.item, ".wav") as (source, target):
        with open_container(source) as reader:
            codec = task.codec.load_for(reader.header)
        result = codec.decompress_file(source, target, progress=progress, **task.arguments)
    return {
        "file": str(task.item.source),
        "output": str(task.item.target),
        "seconds": result.length / result.header.sample_rate,
        "sample_rate": result.header.sample_rate,
        "channels": result.header.channels,
        "length": result.length,
        "model": codec.name,
        "codebook": result.header.codebook_id,
        "lost": [[damage.start_seconds, damage.end_seconds] for damage in result.damage],
        "clipped": result.clipped,
        "gain_db": 20 * math.log10(result.gain),
        "warnings": [*(f"{damage}; filled" for damage in result.damage), *_clipped(result)],
    }


def _clipped(result: Decoded) -> list[str]:
    if not result.clipped:
        return []
    mend = "to keep them, lower the level with --rescale, or write --subtype FLOAT"
    return [f"{clipping(result.clipped, result.peak)}; {mend}"]


def _line(record: dict[str, Any]) -> str:
    return f"{record['file']} -> {record['output']}: {record['seconds']:.2f} s"
