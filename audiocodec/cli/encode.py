"""`audiocodec encode`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiocodec import audio
from audiocodec.audio.files import AUDIO_SUFFIXES
from audiocodec.bitstream import open_container
from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import Item, convert, fit_for_cluster, open_item, plan, whole_path
from audiocodec.cli.parts.codecs import CodecChoice, check_named, choose_codec
from audiocodec.cli.parts.output import Output
from audiocodec.errors import InputError
from audiocodec.work import Backend

if TYPE_CHECKING:
    from audiocodec.codec import Codec

CodebookOrAuto = Annotated[
    str | None,
    typer.Option(
        metavar="ID|auto",
        help="Identity of the codebooks to encode with; auto: those made for the environment of each file;"
        " default: those active in the store, or of the model.",
    ),
]
Report = Annotated[bool, typer.Option("--report", help="Decode the result, and print its PESQ and STOI.")]


@dataclass(frozen=True)
class EncodeTask:
    """One file to encode."""

    item: Item
    codec: CodecChoice
    bitrate: float | None
    force: bool
    report: bool
    denoise: bool
    automatic: bool = False
    strict: bool = False


def encode(
    inputs: options.Inputs,
    out: options.Out = None,
    model: options.Model = None,
    bitrate: options.Bitrate = None,
    codebook: CodebookOrAuto = None,
    store: options.Store = None,
    denoise: options.Denoise = False,
    report: Report = False,
    strict: options.Strict = False,
    jobs: options.Jobs = 1,
    engine: options.Engine = "local",
    address: options.Address = None,
    device: options.Device = "auto",
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Compress sound files to .nac files.

    Example: audiocodec encode talk.wav -o talk.nac --bitrate 3000
    """
    items = plan(inputs, out, ".nac", AUDIO_SUFFIXES, force)
    check_named(model, bitrate, store)
    backend = Backend(engine, jobs, address)
    if engine == "ray":
        items = [fit_for_cluster(item, force) for item in items]
        model, store, force = whole_path(model), store and store.resolve(), True
    automatic = codebook == "auto"

    def load() -> Callable[[Item], EncodeTask]:
        named = None if automatic else codebook
        codec = choose_codec(model, device, named, store)
        codec.load().check(bitrate, denoise)  # one error instead of one a file
        return lambda item: EncodeTask(item, codec, bitrate, force, report, denoise, automatic, strict)

    convert(encode_file, load, items, backend, Output(json, quiet), _line)


def encode_file(task: EncodeTask, progress: Callable[[float], None]) -> dict[str, Any]:
    """Encode one file; returns what is printed about it."""
    record: dict[str, Any] = {"file": str(task.item.source), "output": str(task.item.target)}
    with open_item(task.item, ".nac", task.strict) as (source, target):
        codec, environment = _for_environment(task, source) if task.automatic else (task.codec.load(), {})
        codec.compress_file(
            source, target, task.bitrate, overwrite=task.force, progress=progress, denoise=task.denoise
        )
        with open_container(target) as reader:
            record |= reader.describe() | environment
        if task.report:
            from audiocodec.roundtrip import score

            decoded, sample_rate = codec.decompress(target.read_bytes())
            record |= score(audio.read(source)[0], decoded, sample_rate)
    return record


def _for_environment(task: EncodeTask, source: Path) -> tuple[Codec, dict[str, Any]]:
    """The codec with the codebooks of a file's environment, or with those of the task if it is unknown."""
    choice, codec = task.codec, task.codec.load()
    from audiocodec.adaptation.watch import recognize_file

    own = replace(choice, codebook_id=None).load()
    try:
        recognition = recognize_file(own, choice.model, choice.store, source)
    except InputError as error:
        return codec, {"environment": None, "warnings": [f"environment not recognized: {error}"]}
    if recognition.codebook_id is None:
        text = f"unknown environment (nearest: {recognition.nearest}); codebooks as without auto"
        return codec, {"environment": None, "warnings": [text]}
    return replace(choice, codebook_id=recognition.codebook_id).load(), {"environment": recognition.name}


def _line(record: dict[str, Any]) -> str:
    line = f"{record['file']} -> {record['output']}: {record['seconds']:.2f} s, {record['bytes']} bytes"
    if record["bitrate"] is not None:
        line += f", {record['bitrate']:.0f} bit/s"
    if record.get("environment"):
        line += f", environment {record['environment']}"
    for name in ("pesq_wb", "stoi"):
        if name in record:
            line += f", {name} {'-' if record[name] is None else format(record[name], '.3f')}"
    return line
