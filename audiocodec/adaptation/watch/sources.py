"""Sound files and `.nac` files on their way through the monitor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from audiocodec import audio
from audiocodec.adaptation.watch.stream import MonitoredStream
from audiocodec.bitstream import open_container
from audiocodec.errors import InputError
from audiocodec.files import BLOCK_LENGTH

if TYPE_CHECKING:
    from audiocodec.adaptation.watch.monitor import Monitor
    from audiocodec.adaptation.watch.report import WindowReport
    from audiocodec.codec import Codec

NAC_SUFFIX = ".nac"


def monitor_file(
    codec: Codec, monitor: Monitor, path: str | os.PathLike[str], bitrate: float | None = None
) -> Iterator[WindowReport]:
    """Reports of the windows that become full with a sound file or a `.nac` file; memory is bounded.

    Of a `.nac` file the codes alone are judged, without decoding; it must have been made with the monitor's
    model, codebooks and bitrate.

    Raises:
        InputError: the file cannot be read, or is not such a one.
        BitstreamError: it is damaged.
    """
    path = Path(path)
    monitor.new_recording(str(path))
    if path.suffix.lower() == NAC_SUFFIX:
        yield from _monitor_codes(codec, monitor, path, bitrate)
        return
    found = audio.info(path)
    stream = MonitoredStream(codec, monitor, found.sample_rate, found.channels, bitrate, last=False)
    for block in audio.blocks(path, BLOCK_LENGTH):
        stream.push(block)
        yield from stream.take_reports()
    stream.flush()
    yield from stream.take_reports()


def _monitor_codes(
    codec: Codec, monitor: Monitor, path: Path, bitrate: float | None
) -> Iterator[WindowReport]:
    rows = codec.model.num_quantizers_for(bitrate)
    with open_container(path) as reader:
        header = reader.header
        if not codec.model_id.startswith(header.model_id):
            raise InputError(
                f"{path}: made with model {header.model_name!r} ({header.model_id}), not {codec.name}"
            )
        if not codec.codebook_id.startswith(header.codebook_id):
            raise InputError(
                f"{path}: made with codebooks {header.codebook_id}, the monitor watches"
                f" {codec.codebook_id[:32]}; choose them with --codebook"
            )
        if header.num_quantizers < rows:
            raise InputError(
                f"{path}: has {header.num_quantizers} rows of codes, {rows} are watched; choose"
                f" --bitrate {codec.model.bitrates[header.num_quantizers - 1]:.0f}"
            )
        for _, codes in reader.packets():
            if codes.shape[1] < rows:  # a packet of a variable bitrate
                continue
            yield from monitor.update(None, torch.from_numpy(codes[:, :rows]))
