"""Statistics of recordings, coded as the codec codes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec import audio
from audiocodec.adaptation.statistics.collector import Collecting, StatisticsCollector
from audiocodec.coding import encode_latents

if TYPE_CHECKING:
    from audiocodec.adaptation.statistics.record import Statistics
    from audiocodec.codec import Codec

Recording = tuple[Any, int]
"""Samples [L] or [C, L], and their sample rate in Hz."""


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
