"""The codec study of quantizers.py: the same small codec trained with each method, scored on speech."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from quantizers_rows import Indices, Row, code_statistics

from audiocodec.config import load_config
from audiocodec.corpus.manifest import read_recordings
from audiocodec.errors import MetricError
from audiocodec.metrics import mel_distance, pesq_wb, si_sdr, stoi
from audiocodec.model import CodecModel
from audiocodec.process import compute_in_one_thread
from audiocodec.quantizers import Quantizer
from audiocodec.training import starting
from audiocodec.training.config import TrainConfig
from audiocodec.training.data.store import SampleStore
from audiocodec.training.loop import Trainer

RECIPES = Path(__file__).parents[2] / "recipes" / "quantizers"
SCORED_SECONDS, CLIP_SECONDS = 96.0, 6.0
"""Validation speech that is decoded and scored; codes are counted on all of it."""
FIT_MINUTES = 12.0
"""Training speech from which the costs of coding are learned."""
starting.START_SECONDS = 320.0  # less than the trainer's own, as every run pays for it

Wav = NDArray[np.float32]
METRICS = {"si_sdr": si_sdr, "mel_distance": mel_distance, "pesq": pesq_wb, "stoi": stoi}


def recipe_names() -> list[str]:
    """All recipes of the study, quickest methods first, so that a first table is there early."""
    slow = ("lfq", "nsvq", "gumbel", "transvq")
    names = sorted(path.stem for path in RECIPES.glob("*.yaml") if path.stem != "base")
    return [name for name in names if name not in slow] + [name for name in slow if name in names]


def whole_recordings(store: SampleStore, minutes: float | None = None) -> list[Wav]:
    """Recordings [L] of a store, evenly spread, until `minutes` are together; all for None."""
    readable = np.flatnonzero(store.lengths)
    if minutes is not None:
        wanted = minutes * 60 * store.sample_rate / float(store.lengths[readable].mean())
        count = max(1, min(len(readable), round(wanted)))
        readable = readable[np.linspace(0, len(readable) - 1, count).round().astype(int)]
    return [store.segment(int(i), 0, int(store.lengths[i])) for i in readable]


def clips(store: SampleStore) -> list[Wav]:
    """Starts of evenly spread recordings, to decode and score."""
    count = round(SCORED_SECONDS / CLIP_SECONDS)
    picks = np.linspace(0, len(store.lengths) - 1, count).round().astype(int)
    lengths = np.minimum(store.lengths[picks], round(CLIP_SECONDS * store.sample_rate))
    return [store.segment(int(i), 0, int(length)) for i, length in zip(picks, lengths, strict=True)]


def open_store(config: TrainConfig, split: str) -> SampleStore:
    """Speech of one split, never `test`."""
    assert split in ("train", "valid")
    speech = [
        r for r in read_recordings(Path(config.data.manifest)) if (r.kind, r.split) == ("speech", split)
    ]
    return SampleStore(speech, config.model.sample_rate, Path(config.data.cache))


def run_codec(name: str, folder: Path, changes: Sequence[str] = ()) -> Row:
    """Train the recipe of that name in `folder` (or go on with it), and give its row."""
    compute_in_one_thread()
    path = RECIPES / f"{name}.yaml"
    config = load_config(TrainConfig, path, [f"data.cache={folder / 'cache'}", *changes])
    trainer = Trainer(config, folder / name)
    if not trainer.resume():
        trainer.start()
    first, began = trainer.step_number, time.process_time()
    trainer.fit()
    step_seconds = (time.process_time() - began) / max(1, trainer.step_number - first)
    with trainer.average.applied():
        row = score(trainer.model.eval(), config)
    return {
        "method": config.model.quantizer.method,
        "steps": config.steps,
        "step_ms": 1e3 * step_seconds,
    } | row


@torch.no_grad()
def score(model: CodecModel, config: TrainConfig) -> Row:
    """Quality of decoded audio, and how the codes are used."""
    store = open_store(config, "valid")
    fit, held_out = (
        encode_all(model, whole_recordings(s, minutes))
        for s, minutes in ((open_store(config, "train"), FIT_MINUTES), (store, None))
    )
    scores: dict[str, list[float]] = {name: [] for name in METRICS}
    for clip in clips(store):
        decoded = decode(model, clip)
        for name, metric in METRICS.items():
            try:
                scores[name].append(metric(clip, decoded, model.sample_rate))
            except MetricError:
                continue
    bits = model.quantizer.bits_per_frame()
    return {
        "bits_per_frame": bits,
        "bitrate": bits * model.frame_rate,
        "error": held_out.error,
        **{name: float(np.mean(values)) for name, values in scores.items()},
        "stages": statistics_of_rows(model.quantizer, fit.codes, held_out.codes),
    }


class Encoded:
    """Codes [N, T] of each recording, and their squared error in units of the latents' variance."""

    def __init__(self) -> None:
        """Start empty."""
        self.codes: list[NDArray[np.int64]] = []
        self.count = 0
        self.error_sum = self.square_sum = 0.0
        self.sum: torch.Tensor | float = 0.0

    def add(self, latents: torch.Tensor, quantized: torch.Tensor, codes: torch.Tensor) -> None:
        """Count one recording [1, D, T]."""
        self.codes.append(codes[0].numpy())
        self.count += latents.shape[2]
        self.error_sum += float((latents - quantized).square().sum())
        self.square_sum += float(latents.square().sum())
        self.sum = self.sum + latents.sum(dim=2)[0]

    @property
    def error(self) -> float:
        """Quantization error over variance."""
        mean = torch.as_tensor(self.sum) / self.count
        return self.error_sum / (self.square_sum - self.count * float(mean.square().sum()))


def encode_all(model: CodecModel, recordings: Sequence[Wav]) -> Encoded:
    """Encode whole recordings."""
    encoded = Encoded()
    for wav in recordings:
        latents = model.encoder(_frames(model, wav))
        codes = model.quantizer.encode(latents)
        encoded.add(latents, model.quantizer.decode(codes), codes)
    return encoded


def decode(model: CodecModel, clip: Wav) -> Wav:
    """The clip [L] after encoding and decoding, in step with it."""
    padded = np.pad(clip, (0, model.delay))
    decoded = model.decode(model.encode(_frames(model, padded)))
    return decoded[0, 0, model.delay : model.delay + len(clip)].numpy()


def _frames(model: CodecModel, wav: Wav) -> torch.Tensor:
    """Whole frames [1, 1, T * hop_length]."""
    return torch.from_numpy(np.pad(wav, (0, -len(wav) % model.hop_length)))[None, None]


def statistics_of_rows(
    quantizer: Quantizer, fit: Sequence[Indices], held_out: Sequence[Indices]
) -> list[Row]:
    """`code_statistics` of each row of codes [N, T]; codes shared by several frames count once."""
    return [
        code_statistics([c[row, ::stride] for c in fit], [c[row, ::stride] for c in held_out], size)
        for row, (size, stride) in enumerate(zip(quantizer.codebook_sizes, quantizer.strides, strict=True))
    ]
