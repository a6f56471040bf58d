"""Statistics of recordings, coded as the codec codes them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from audiocodec import audio
from audiocodec.adaptation.statistics.collector import Collecting, StatisticsCollector
from audiocodec.audio.arrays import as_channels
from audiocodec.devices import device_of
from audiocodec.errors import InputError
from audiocodec.nn.streaming import StreamState

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.adaptation.statistics.record import Statistics
    from audiocodec.codec import Codec
    from audiocodec.model import CodecModel

Recording = tuple[Any, int]
"""Samples [L] or [C, L], and their sample rate in Hz."""


@torch.inference_mode()
def encode_latents(model: CodecModel, wav: Any, sample_rate: int) -> Tensor:
    """The encoder's output [C, D, T] for samples [L] or [C, L] of any rate, as encoding a file computes it.

    Runs in packets of a second, so memory grows with the latents only.

    Raises:
        InputError: the samples cannot be used, or there are none; SampleRateError likewise.
    """
    samples = as_channels(wav, sample_rate)
    if not samples.shape[1]:
        raise InputError("there is no sample; give at least 1")
    samples = audio.resample(samples, sample_rate, model.sample_rate)
    frames = math.ceil((samples.shape[1] + model.delay) / model.hop_length)
    packet = round(model.frame_rate) * model.hop_length
    padded = np.pad(
        samples,
        ((0, 0), (0, -frames * model.hop_length % packet + frames * model.hop_length - samples.shape[1])),
    )
    state, device = StreamState(), device_of(model)
    parts = [
        model.encoder(torch.from_numpy(np.ascontiguousarray(part))[:, None].to(device), state)
        for part in np.split(padded, padded.shape[1] // packet, axis=1)
    ]
    return torch.cat(parts, dim=2)[..., :frames]


def collect(
    codec: Codec,
    wavs: Iterable[Recording],
    bitrate: float | None = None,
    *,
    rng: np.random.Generator,
    options: Collecting | None = None,
) -> Statistics:
    """Statistics of recordings at a bitrate (None: the highest); they may come one by one.

    Raises:
        InputError: a recording cannot be used; BitrateError, SampleRateError likewise.
    """
    collector = StatisticsCollector.for_codec(codec, bitrate, rng=rng, options=options)
    rows = codec.model.num_quantizers_for(bitrate)
    for wav, sample_rate in wavs:
        collector.new_recording()
        latents = encode_latents(codec.model, wav, sample_rate)
        collector.update(latents, codec.model.quantizer.encode(latents, rows))
    return collector.statistics()


def collect_files(
    codec: Codec,
    paths: Iterable[str | os.PathLike[str]],
    bitrate: float | None = None,
    *,
    rng: np.random.Generator,
    options: Collecting | None = None,
    progress: Callable[[float], None] | None = None,
) -> Statistics:
    """Statistics of sound files and of all in folders; `progress` is told the share that is done.

    Raises:
        InputError: a file cannot be read, or a folder has none; the message names it.
    """
    files = audio.find_audio(paths)
    return collect(codec, recordings(files, progress), bitrate, rng=rng, options=options)


def recordings(
    files: Iterable[str | os.PathLike[str]], progress: Callable[[float], None] | None = None
) -> Iterator[Recording]:
    """Read files one by one.

    Raises:
        InputError: one cannot be read.
    """
    listed = list(files)
    for number, path in enumerate(listed, 1):
        yield audio.read(path)
        if progress is not None:
            progress(number / len(listed))
