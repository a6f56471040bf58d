"""What can be said about a compressed file without decoding it."""

from __future__ import annotations

from typing import Any

from audiocodec.bitstream import ContainerReader


def describe(reader: ContainerReader, size: int) -> dict[str, Any]:
    """Facts about a container of `size` bytes; rates are those of all channels together."""
    header, length = reader.header, reader.length
    seconds = None if length is None else length / header.sample_rate
    return {
        "seconds": seconds,
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "model": header.model_name or header.model_id,
        "codebook": header.codebook_id,
        "num_quantizers": header.num_quantizers,
        "nominal_bitrate": header.nominal_bitrate,
        "bytes": size,
        "bitrate": 8 * size / seconds if seconds else None,
    }


def summary(record: dict[str, Any]) -> str:
    """The same for people, in half a line."""
    seconds = "unknown length" if record["seconds"] is None else f"{record['seconds']:.2f} s"
    bitrate = "" if record["bitrate"] is None else f", {record['bitrate']:.0f} bit/s"
    return f"{seconds}, {record['bytes']} bytes{bitrate}"
