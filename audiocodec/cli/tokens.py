"""`audiocodec tokens`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from audiocodec import audio, pretrained
from audiocodec.audio.files import AUDIO_SUFFIXES
from audiocodec.bitstream import open_container
from audiocodec.cli.parts import options
from audiocodec.cli.parts.convert import convert, files
from audiocodec.cli.parts.denoising import check_denoise
from audiocodec.cli.parts.early import check_named
from audiocodec.cli.parts.jobs import codec_for
from audiocodec.cli.parts.output import Output
from audiocodec.cli.parts.paths import Item, plan
from audiocodec.cli.parts.stores import chosen_codebook
from audiocodec.tokens import Order, load_tokens, save_tokens
from audiocodec.work import Backend

if TYPE_CHECKING:
    from audiocodec.codec import EncodedAudio

STREAM_SUFFIX = ".nac"

Folder = Annotated[
    Path, typer.Option("-o", "--output", metavar="DIR", help="Where the results go, in the same tree.")
]
TokenOrder = Annotated[
    Order, typer.Option(help="rows [C, N, T], flat [C, T * N] or delay [C, N, T + N - 1] for training.")
]
Back = Annotated[bool, typer.Option("--back", help="From .npz files to sound.")]


@dataclass(frozen=True)
class TokensTask:
    """One file to turn into tokens, or back into sound; `codec` are the arguments of `codec_for`."""

    item: Item
    codec: tuple[str | None, str, str | None, Path | None]
    bitrate: float | None
    order: Order
    denoise: bool
    force: bool


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
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the codes of sound or .nac files as .npz for language models, and with --back decode them.

    Sound is encoded; a .nac file keeps the codes it has. --back takes the model that a file names, unless
    --model says another.

    Example: audiocodec tokens recordings -o codes --order flat --bitrate 1500
    """
    suffix, wanted = (".wav", {".npz"}) if back else (".npz", {*AUDIO_SUFFIXES, STREAM_SUFFIX})
    items = plan(inputs, f"{out}/", suffix, wanted, force)
    need_model = not back and not all(_is_stream(item) for item in items)
    if need_model:
        check_named(model, bitrate, store)

    def load() -> Callable[[Item], TokensTask]:
        chosen = codebook
        if need_model:
            chosen = chosen_codebook(codec_for(model, device, None, store), codebook, store)
            codec = codec_for(model, device, chosen, store)
            codec.model.num_quantizers_for(bitrate)  # one error instead of one a file
            check_denoise(codec, denoise)
        return lambda item: TokensTask(item, (model, device, chosen, store), bitrate, order, denoise, force)

    convert(to_sound if back else to_tokens, load, items, Backend("local", jobs), Output(json, quiet), _line)


def to_tokens(task: TokensTask, progress: Callable[[float], None]) -> dict[str, Any]:
    """Write the tokens of one file; gives what there is to say about it."""
    with files(task.item, ".npz") as (source, target):
        encoded = _read_stream(source) if _is_stream(task.item) else _encode(source, task, progress)
        save_tokens(target, encoded, task.order, overwrite=task.force)
    return {**_about(task, encoded), "order": task.order}


def to_sound(task: TokensTask, progress: Callable[[float], None]) -> dict[str, Any]:
    """Decode the tokens of one file; gives what there is to say about it."""
    with files(task.item, ".wav") as (source, target):
        encoded = load_tokens(source)
        model, device, _, store = task.codec
        codec = codec_for(model or pretrained.name_for(encoded.header), device, None, store)
        wav, sample_rate = codec.decode(encoded)
        audio.write(target, wav, sample_rate, overwrite=task.force)
    return _about(task, encoded)


def _is_stream(item: Item) -> bool:
    return item.source.suffix.lower() == STREAM_SUFFIX


def _read_stream(source: Path) -> EncodedAudio:
    from audiocodec.codec import EncodedAudio

    with open_container(source) as reader:
        packets = [codes for _, codes in reader.packets()]
        none = np.zeros((*reader.header.packet_shape[:2], 0), np.int64)
        return EncodedAudio(np.concatenate([none, *packets], 2), replace(reader.header, length=reader.length))


def _encode(source: Path, task: TokensTask, progress: Callable[[float], None]) -> EncodedAudio:
    from audiocodec.codec import EncodedAudio
    from audiocodec.coding import PacketEncoder
    from audiocodec.files import BLOCK_LENGTH, watched

    codec, found = codec_for(*task.codec), audio.info(source)
    header = codec.header(found.sample_rate, found.channels, task.bitrate)
    encoder = PacketEncoder(codec.model, header, task.denoise)
    blocks = watched(audio.blocks(source, BLOCK_LENGTH), found.length, progress)
    codes = np.concatenate(list(encoder.packets(blocks)), axis=2)
    return EncodedAudio(codes, replace(header, length=encoder.length))


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
