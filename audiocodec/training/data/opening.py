"""All that a run learns from and is judged by, opened as its recipe says."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiocodec.errors import ConfigError, InputError
from audiocodec.training.data.manifest import read_recordings
from audiocodec.training.data.sampler import SegmentSampler
from audiocodec.training.data.store import SampleStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from audiocodec.training.config import TrainConfig


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from and is judged by: segments, and held-out clips [L] at the model's rate."""

    sampler: SegmentSampler
    clips: list[NDArray[np.float32]] = field(default_factory=list["NDArray[np.float32]"])


def open_data(
    config: TrainConfig, folder: Path, progress: Callable[[float], None] | None = None
) -> TrainingData:
    """Read the manifest, and decode what is not in the cache yet.

    The cache is in `folder` unless the recipe names one; `progress` is told the share of the training
    recordings that are decoded.

    Raises:
        InputError: a split has no recording that can be read.
        ConfigError: segments are too short for the model, or a source is unknown.
    """
    data, rate, net = config.data, config.model.sample_rate, config.model.net
    length = max(1, round(data.segment_seconds * rate / net.hop_length)) * net.hop_length
    if length <= net.delay:
        raise ConfigError(
            f"data.segment_seconds {data.segment_seconds:g} is no longer than the model's delay of"
            f" {net.delay} samples; give more"
        )
    manifest = Path(data.manifest)
    speech = [recording for recording in read_recordings(manifest) if recording.kind == "speech"]
    cache = Path(data.cache) if data.cache else folder / "cache"

    def store(split: str, progress: Callable[[float], None] | None = None) -> SampleStore:
        found = [recording for recording in speech if recording.split == split]
        if not found:
            others = ", ".join(sorted({recording.split for recording in speech})) or "none"
            raise InputError(
                f"{manifest}: no recording of kind speech and split {split} (splits found: {others});"
                " check the columns kind and split"
                + ("; or set validate_seconds=0 to train without validation" if split == "valid" else "")
            )
        return SampleStore(found, rate, cache, progress)

    sampler = SegmentSampler(store("train", progress), data, length)
    clips = pick_clips(store("valid"), config.validate_seconds) if config.validate_seconds else []
    return TrainingData(sampler, clips)


def pick_clips(store: SampleStore, seconds: float, clip_seconds: float = 6.0) -> list[NDArray[np.float32]]:
    """Take the start of evenly spread recordings until `seconds` are together."""
    readable = np.flatnonzero(store.lengths)
    count = max(1, min(len(readable), round(seconds / clip_seconds)))
    picks = readable[np.linspace(0, len(readable) - 1, count).round().astype(int)]
    length = int(clip_seconds * store.sample_rate)
    return [store.segment(int(i), 0, min(length, int(store.lengths[i]))) for i in picks]
