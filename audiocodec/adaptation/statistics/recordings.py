"""Statistics of recordings, coded as the codec codes them; or latents and codes frame by frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from audiocodec import audio
from audiocodec.adaptation.statistics.collector import RESERVOIR_SIZE, StatisticsCollector
from audiocodec.audio.samples import as_channels
from audiocodec.coding import encode_latents

if TYPE_CHECKING:
    from audiocodec.adaptation.statistics.statistics import Statistics
    from audiocodec.codec import Codec


RecordingSamples = tuple[Any, int]
"""Samples [L] or [C, L], and their sample rate in Hz."""


def collect(
    codec: Codec,
    wavs: Iterable[RecordingSamples],
    bitrate: float | None = None,
    *,
    rng: np.random.Generator,
) -> Statistics:
    """Statistics of recordings at a bitrate (None: the highest); they may come one by one.

    Raises:
        InputError: a recording cannot be used; BitrateError, SampleRateError likewise.
    """
    collector = StatisticsCollector.for_codec(codec, bitrate, rng=rng)
    num_quantizers = codec.model.num_quantizers_for(bitrate)
    for wav, sample_rate in wavs:
        collector.new_recording()
        latents = encode_latents(codec.model, wav, sample_rate)
        collector.update(latents, codec.model.quantizer.encode(latents, num_quantizers))
    return collector.statistics()


def recordings(
    files: Iterable[str | os.PathLike[str]], progress: Callable[[float], None] | None = None
) -> Iterator[RecordingSamples]:
    """Read files one by one.

    Raises:
        InputError: one cannot be read.
    """
    listed = list(files)
    for number, path in enumerate(listed, 1):
        yield audio.read(path)
        if progress is not None:
            progress(number / len(listed))


AUDIBLE_DB = -60.0
"""RMS level, dB of full scale, below which a tenth of a second counts as silence."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of recordings, one after another.

    Attributes:
        latents: [D, F].
        codes: [N, F].
        audible_seconds: of all channels together, above -60 dB.
    """

    latents: Tensor
    codes: Tensor
    audible_seconds: float

    def __len__(self) -> int:
        return self.codes.shape[1]

    @staticmethod
    def join(parts: Sequence[Frames]) -> Frames:
        """All frames, in order."""
        return Frames(
            torch.cat([part.latents for part in parts], dim=1),
            torch.cat([part.codes for part in parts], dim=1),
            sum(part.audible_seconds for part in parts),
        )

    def cut(self, start: int, stop: int) -> Frames:
        """Frames from `start` to `stop`; audible seconds in proportion."""
        share = (stop - start) / max(len(self), 1)
        return Frames(self.latents[:, start:stop], self.codes[:, start:stop], share * self.audible_seconds)

    def around(self, start: int, length: int) -> Frames:
        """`length` frames from `start` on, the first following the last."""
        index = (start + torch.arange(length)) % len(self)
        return Frames(self.latents[:, index], self.codes[:, index], 0.0)


def encode_frames(
    codec: Codec, wavs: Iterable[RecordingSamples], bitrate: float | None = None
) -> Iterator[Frames]:
    """Frames of each recording at a bitrate (None: the highest), channels one after another.

    Raises:
        InputError: a recording cannot be used; BitrateError, SampleRateError likewise.
    """
    num_quantizers = codec.model.num_quantizers_for(bitrate)
    for wav, sample_rate in wavs:
        latents = encode_latents(codec.model, wav, sample_rate)
        codes = codec.model.quantizer.encode(latents, num_quantizers)
        audible = audible_seconds(wav, sample_rate)
        yield Frames(latents.transpose(0, 1).flatten(1), codes.transpose(0, 1).flatten(1), audible)


def statistics_of(
    codec: Codec, parts: Iterable[Frames], rng: np.random.Generator, reservoir_size: int = RESERVOIR_SIZE
) -> Statistics:
    """Statistics of frames, each part a recording of its own.

    Raises:
        InputError: a latent is not a finite number, or there is no part.
    """
    collector: StatisticsCollector | None = None
    for part in parts:
        if collector is None:
            model = codec.model
            num_quantizers = int(part.codes.shape[0])
            bitrate = model.bitrates[model.quantizer.prefixes.index(num_quantizers)]
            collector = StatisticsCollector.for_codec(codec, bitrate, rng=rng, reservoir_size=reservoir_size)
        collector.new_recording()
        collector.update(part.latents[None], part.codes[None])
    if collector is None:
        collector = StatisticsCollector.for_codec(codec, rng=rng, reservoir_size=reservoir_size)
    return collector.statistics()


def audible_seconds(wav: object, sample_rate: int) -> float:
    """Seconds of samples [L] or [C, L], of all channels together, that are louder than -60 dB RMS."""
    samples = as_channels(wav, sample_rate)
    block = max(1, sample_rate // 10)
    whole = samples[:, : samples.shape[1] // block * block].reshape(samples.shape[0], -1, block)
    loud = np.sqrt((whole.astype(np.float64) ** 2).mean(axis=2)) > 10 ** (AUDIBLE_DB / 20)
    return float(loud.sum()) * block / sample_rate
