"""`audiocodec tokens`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiocodec import audio
from audiocodec.audio.files import AUDIO_SUFFIXES
from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import Item, convert, open_item, plan
from audiocodec.cli.parts.codecs import CodecChoice, check_named, choose_codec
from audiocodec.cli.parts.output import Output
from audiocodec.tokens import Order, load_tokens, read_codes, save_tokens
from audiocodec.work import Backend

if TYPE_CHECKING:
    from audiocodec.codec import EncodedAudio

STREAM_SUFFIX = ".nac"

Folder = Annotated[
    Path,
    typer.Option(
        "-o", "--output", metavar="DIR", help="Output folder; files keep their path below the input folder."
    ),
]
TokenOrder = Annotated[
    Order, typer.Option(help="Order of tokens: rows [C, N, T], flat [C, T * N] or delay [C, N, T + N - 1].")
]
Back = Annotated[bool, typer.Option("--back", help="Decode .npz files back to sound.")]


@dataclass(frozen=True)
class TokensTask:
    """One file to turn into tokens, or back into sound."""

    item: Item
    codec: CodecChoice
    bitrate: float | None
    order: Order
    denoise: bool
    force: bool
    strict: bool


def tokens(
    inputs: options.Inputs,
    out: Folder,
    order: TokenOrder = "rows",
    back: Back = False,
    model: options.Model = None,
    bitrate: options.Bitrate = None,
    codebook: options.Codebook = None,
    store: options.Store = None,
    denoise: options.Denoise = False,
    strict: options.Strict = False,
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the codes of sound or .nac files as .npz files for language models; --back decodes these.

    Sound files are encoded; a .nac file keeps its codes. --back decodes with the model that a file names,
    unless --model names another.

    Example: audiocodec tokens recordings -o codes --order flat --bitrate 1500
    """
    suffix, wanted = (".wav", {".npz"}) if back else (".npz", {*AUDIO_SUFFIXES, STREAM_SUFFIX})
    items = plan(inputs, f"{out}/", suffix, wanted, force)
    need_model = not back and not all(_is_stream(item) for item in items)
    if need_model:
        check_named(model, bitrate, store)

    def load() -> Callable[[Item], TokensTask]:
        codec = CodecChoice(model, device, None, store)
        if need_model:
            codec = choose_codec(model, device, codebook, store)
            codec.load().check(bitrate, denoise)  # one error instead of one a file
        return lambda item: TokensTask(item, codec, bitrate, order, denoise, force, strict)

    convert(to_sound if back else to_tokens, load, items, Backend("local", jobs), Output(json, quiet), _line)


def to_tokens(task: TokensTask, progress: Callable[[float], None]) -> dict[str, Any]:
    """Write the tokens of one file; returns what is printed about it."""
    is_stream = _is_stream(task.item)
    with open_item(task.item, ".npz", task.strict and not is_stream) as (source, target):
        if is_stream:
            encoded = read_codes(source)
        else:
            codec = task.codec.load()
            encoded = codec.encode_file(source, task.bitrate, progress=progress, denoise=task.denoise)
        save_tokens(target, encoded, task.order, overwrite=task.force)
    return {**_about(task, encoded), "order": task.order}


def to_sound(task: TokensTask, progress: Callable[[float], None]) -> dict[str, Any]:
    """Decode the tokens of one file; returns what is printed about it."""
    with open_item(task.item, ".wav") as (source, target):
        encoded = load_tokens(source)
        wav, sample_rate = task.codec.load_for(encoded.header).decode(encoded)
        audio.write(target, wav, sample_rate, overwrite=task.force)
    return _about(task, encoded)


def _is_stream(item: Item) -> bool:
    return item.source.suffix.lower() == STREAM_SUFFIX


def _about(task: TokensTask, encoded: EncodedAudio) -> dict[str, Any]:
    header, (channels, rows, frames) = encoded.header, encoded.codes.shape
    seconds = frames / header.frame_rate
    if header.length is not None:
        seconds = header.length / header.sample_rate
    return {
        "file": str(task.item.source),
        "output": str(task.item.target),
        "seconds": seconds,
        "sample_rate": header.sample_rate,
        "channels": channels,
        "num_quantizers": rows,
        "frames": frames,
        "model": header.model_name or header.model_id,
        "codebook": header.codebook_id,
    }


def _line(record: dict[str, Any]) -> str:
    shape = f"{record['channels']} x {record['num_quantizers']} x {record['frames']} codes"
    return f"{record['file']} -> {record['output']}: {record['seconds']:.2f} s, {shape}"
