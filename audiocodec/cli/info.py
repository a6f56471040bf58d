"""`audiocodec info`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocodec import pretrained
from audiocodec.audio.files import as_file
from audiocodec.bitstream import ContainerReader, open_container
from audiocodec.cli.parts import options
from audiocodec.cli.parts.batch import expand
from audiocodec.cli.parts.codecs import has_codebook, open_store
from audiocodec.cli.parts.output import Failure, Output, failure

if TYPE_CHECKING:
    from audiocodec.adaptation.registry import Registry


def info(
    inputs: options.Inputs,
    store: options.Store = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show the headers of .nac files, and check the checksum of every packet.

    Example: audiocodec info talk.nac
    """
    output = Output(json, quiet)
    registry = None if store is None else open_store(store)
    for source, _, problem in expand(inputs, {".nac"}):
        try:
            if problem is not None:
                raise problem
            with as_file(source) as file, open_container(file) as reader:
                record: dict[str, Any] = {"file": str(source), **examine(reader, registry)}
        except Exception as error:
            output.error(source, failure(error, source))
            continue
        output.result(record)
        _print(output, record)
        problems = [str(damage["problem"]) for damage in record["damage"]]
        if problems:
            output.error(source, Failure("BitstreamError", "; ".join(problems)))
    output.finish()


def examine(reader: ContainerReader, registry: Registry | None) -> dict[str, Any]:
    """All facts about a container; every packet is read and checked."""
    header = reader.header
    packets = sum(1 for _ in reader.packets("skip"))
    facts = reader.describe()
    payload = reader.payload_bits / facts["seconds"] if facts["seconds"] else None
    return {
        **facts,
        "length": reader.length,
        "packets": packets,
        "packet_frames": header.packet_frames,
        "frame_rate": header.frame_rate,
        "payload_bitrate": payload,
        "model_id": header.model_id,
        "codebook_id": header.codebook_id,
        "model_sample_rate": header.model_sample_rate,
        "installed": pretrained.find_by_id(header.model_id) is not None,
        "codebook_installed": has_codebook(header, registry),
        "coder": header.coder,
        "checksums": "damaged" if reader.damage else "good",
        "damage": [
            {"start_seconds": error.start_seconds, "end_seconds": error.end_seconds, "problem": str(error)}
            for error in reader.damage
        ],
    }


def _print(output: Output, record: dict[str, Any]) -> None:
    left_out = ("damage", "codebook", "file")
    output.say(str(Path(record["file"])))
    output.table(("", ""), [(name, value) for name, value in record.items() if name not in left_out])
