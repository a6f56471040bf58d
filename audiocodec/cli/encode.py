"""`audiocodec encode`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiocodec import audio
from audiocodec.audio.files import AUDIO_SUFFIXES
from audiocodec.bitstream import ContainerReader
from audiocodec.cli.parts import engine as engine_options
from audiocodec.cli.parts import options
from audiocodec.cli.parts.automatic import AUTO, recognize_file
from audiocodec.cli.parts.convert import convert, files
from audiocodec.cli.parts.denoising import check_denoise
from audiocodec.cli.parts.describe import describe, summary
from audiocodec.cli.parts.early import check_named
from audiocodec.cli.parts.engine import fit_for_cluster, whole_path
from audiocodec.cli.parts.jobs import codec_for
from audiocodec.cli.parts.output import Output
from audiocodec.cli.parts.paths import Item, plan
from audiocodec.cli.parts.stores import chosen_codebook
from audiocodec.errors import InputError
from audiocodec.work import Backend

if TYPE_CHECKING:
    from audiocodec.codec import Codec

Report = Annotated[bool, typer.Option("--report", help="Decode again, and print PESQ and STOI.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse files that end before the length in their header.")
]


@dataclass(frozen=True)
class EncodeTask:
    """One file to encode; `codec` are the arguments of `codec_for`."""

    item: Item
    codec: tuple[str | None, str, str | None, Path | None]
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
    codebook: options.Codebook = None,
    store: options.Store = None,
    denoise: options.Denoise = False,
    report: Report = False,
    strict: Strict = False,
    jobs: options.Jobs = 1,
    engine: engine_options.Engine = "local",
    address: engine_options.Address = None,
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
    automatic = codebook == AUTO

    def load() -> Callable[[Item], EncodeTask]:
        named = None if automatic else codebook
        loading = (model, device, chosen_codebook(codec_for(model, device, None, store), named, store), store)
        codec = codec_for(*loading)
        codec.model.num_quantizers_for(bitrate)  # one error instead of one a file
        check_denoise(codec, denoise)
        return lambda item: EncodeTask(item, loading, bitrate, force, report, denoise, automatic, strict)

    convert(encode_file, load, items, backend, Output(json, quiet), _line)


def encode_file(task: EncodeTask, progress: Callable[[float], None]) -> dict[str, Any]:
    """Encode one file; gives what there is to say about it."""
    codec = codec_for(*task.codec)
    chosen: dict[str, Any] = {}
    with files(task.item, ".nac") as (source, target):
        if task.strict and (problem := audio.info(source).problem):
            raise InputError(f"{task.item.source}: {problem}; get a whole copy, or leave out --strict")
        if task.automatic:
            codec, chosen = _for_environment(task, source)
        codec.compress_file(
            source, target, task.bitrate, overwrite=task.force, progress=progress, denoise=task.denoise
        )
        with target.open("rb") as file:
            record = describe(ContainerReader(file), target.stat().st_size)
        scored = _report(source, target, task) if task.report else {}
    return {"file": str(task.item.source), "output": str(task.item.target), **record, **chosen, **scored}


def _for_environment(task: EncodeTask, source: Path) -> tuple[Codec, dict[str, Any]]:
    """The codec with the codebooks made for a file's environment, or as it is if none is known to fit."""
    model, device, _, store = task.codec
    own, codec = codec_for(model, device, None, store), codec_for(*task.codec)
    try:
        found = recognize_file(own, model, store, source)
    except InputError as error:
        return codec, {"environment": None, "warnings": [f"environment not recognized: {error}"]}
    if found.codebook_id is None:
        text = f"unknown environment (nearest: {found.nearest}); codebooks as without auto"
        return codec, {"environment": None, "warnings": [text]}
    return codec_for(model, device, found.codebook_id, store), {"environment": found.name}


def _report(source: Path, target: Path, task: EncodeTask) -> dict[str, Any]:
    from audiocodec.cli.parts.scores import scores

    decoded, sample_rate = codec_for(*task.codec).decompress(target.read_bytes())
    return scores(audio.read(source)[0], decoded, sample_rate)


def _line(record: dict[str, Any]) -> str:
    line = f"{record['file']} -> {record['output']}: {summary(record)}"
    if record.get("environment"):
        line += f", environment {record['environment']}"
    for name in ("pesq_wb", "stoi"):
        if name in record:
            line += f", {name} {'-' if record[name] is None else format(record[name], '.3f')}"
    return line
