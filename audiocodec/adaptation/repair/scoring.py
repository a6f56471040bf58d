"""Scores of pieces of sound coded by a codec: quality, error of the latents, use of the codebooks, size."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiocodec.bitstream import ContainerReader
from audiocodec.checkpoint import identify_codebooks
from audiocodec.codec import Codec, EncodedAudio
from audiocodec.coding import encode_latents
from audiocodec.errors import MetricError, RegistryError
from audiocodec.metrics import mel_distance, pesq_wb, stage_perplexity, stage_usage, stoi

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.adaptation.repair.sound import Clip

PESQ, STOI, MEL, ERROR, BYTES = "pesq_wb", "stoi", "mel_distance", "quantization_error", "bytes"
SCORES = (PESQ, STOI, MEL, ERROR, BYTES)
"""In the order of tables."""
BETTER: Mapping[str, int] = {PESQ: 1, STOI: 1, MEL: -1, ERROR: -1, BYTES: -1}
"""Sign of an improvement."""
_SOUND_SCORES = {PESQ: pesq_wb, STOI: stoi, MEL: mel_distance}


@dataclass(frozen=True, eq=False)
class Scored:
    """Pieces of sound after coding.

    Attributes:
        names: of the pieces.
        values: [n] of each score, NaN where it cannot be computed.
        usage: share of the entries of each stage that were used.
        perplexity: of the codes of each stage.
    """

    names: tuple[str, ...]
    values: dict[str, NDArray[np.float64]]
    usage: tuple[float, ...]
    perplexity: tuple[float, ...]


class _Single:
    """A store of one revision that is in no store yet."""

    def __init__(self, codebooks: Mapping[str, Tensor]) -> None:
        self.codebooks, self.identity = codebooks, identify_codebooks(codebooks)

    def get(self, codebook_id: str) -> Mapping[str, Tensor]:
        if not self.identity.startswith(codebook_id):
            raise RegistryError(f"codebook {codebook_id} is not the one that is tried out")
        return self.codebooks


def with_codebooks(codec: Codec, codebooks: Mapping[str, Tensor]) -> Codec:
    """The same codec with codebooks, and where it has one a map, that are in no store; it is not changed."""
    single = _Single(codebooks)
    origin = Codec(codec.model, codec.config, codec.metadata, codec.device, single)
    return origin.with_codebook(single.identity)


def score(
    codec: Codec,
    clips: Sequence[Clip],
    bitrate: float | None,
    progress: Callable[[float], None] = lambda share: None,
) -> Scored:
    """Encode to bytes, decode, and compare with what went in.

    `quantization_error` is the squared error of the latents over their variance. PESQ and STOI need speech.

    Raises:
        BitrateError: the codec does not offer `bitrate`.
    """
    columns: dict[str, list[float]] = {name: [] for name in SCORES}
    codes: list[NDArray[np.int64]] = []
    for number, clip in enumerate(clips, 1):
        values, found = _score_clip(codec, clip, bitrate)
        codes.append(found)
        for name in SCORES:
            columns[name].append(values[name])
        progress(number / len(clips))
    joined = np.concatenate(codes, axis=2)
    sizes = codec.model.quantizer.codebook_sizes[: joined.shape[1]]
    return Scored(
        tuple(clip.name for clip in clips),
        {name: np.array(column) for name, column in columns.items()},
        stage_usage(joined, sizes),
        stage_perplexity(joined, sizes),
    )


def _score_clip(
    codec: Codec, clip: Clip, bitrate: float | None
) -> tuple[dict[str, float], NDArray[np.int64]]:
    data = codec.compress(clip.wav, clip.sample_rate, bitrate)
    reader = ContainerReader(io.BytesIO(data))
    packets = [packet for _, packet in reader.packets()]
    codes = np.concatenate(packets, axis=2)  # [1, N, T]
    decoded, _ = codec.decode(
        EncodedAudio(codes, codec.header(clip.sample_rate, 1, bitrate, length=len(clip.wav)))
    )
    values = {BYTES: float(len(data)), ERROR: _latent_error(codec, clip, codes)}
    for name, metric in _SOUND_SCORES.items():
        try:
            values[name] = metric(clip.wav, decoded[0], clip.sample_rate)
        except MetricError:
            values[name] = float("nan")
    return values, codes


@torch.inference_mode()
def _latent_error(codec: Codec, clip: Clip, codes: NDArray[np.int64]) -> float:
    latents = encode_latents(codec.model, clip.wav, clip.sample_rate)[..., : codes.shape[2]]
    quantized = codec.model.quantizer.decode(torch.from_numpy(codes).to(latents.device))
    variance = (latents - latents.mean(dim=2, keepdim=True)).square().sum()
    return float((latents - quantized).square().sum() / variance.clamp(min=1e-12))
