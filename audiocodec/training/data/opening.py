"""All that a run learns from and is judged by, opened as its recipe says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiocodec.corpus.finding import check_present, find_recordings
from audiocodec.corpus.shards import decode_packed, find_shards, is_shards, read_shard
from audiocodec.errors import ConfigError, InputError
from audiocodec.training.augment import open_environments
from audiocodec.training.batch_augment import cpu_effects
from audiocodec.training.data.resident import ResidentSampler, holds_corpus
from audiocodec.training.data.sampler import SegmentSampler
from audiocodec.training.data.shards.sampler import ShardSampler
from audiocodec.training.data.shards.stream import Cutting, SegmentStream
from audiocodec.training.data.store import SampleStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from audiocodec.corpus.manifest import Recording
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.data.batch import Sampler

logger = logging.getLogger(__name__)

CLIP_SECONDS = 6.0
"""Of a recording, so much is scored in a validation."""


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from and is judged by: segments, and held-out clips [L] at the model's rate."""

    sampler: Sampler
    clips: list[NDArray[np.float32]] = field(default_factory=list["NDArray[np.float32]"])


def open_data(
    config: TrainConfig,
    folder: Path,
    progress: Callable[[float], None] | None = None,
    rank: int = 0,
    world_size: int = 1,
    device: torch.device | None = None,
) -> TrainingData:
    """Find the recordings, and decode what is not in the cache yet; shards are read while training.

    The cache is in `folder` unless the recipe names one; `progress` is told the share of the training
    recordings that are decoded. Where the recipe says so, or lets it be on a GPU, the samples are held by
    `device`. `rank` of `world_size` processes reads its own part of the shards. With
    several processes on one cache, one must have opened it before the others do.

    Raises:
        InputError: files are missing, or a split has no recording that can be read.
        ConfigError: segments are too short for the model, or a source is unknown.
    """
    data, rate, length = config.data, config.model.sample_rate, _segment_length(config)
    if not data.manifest:
        raise ConfigError(
            "data.manifest is not set; name a folder of recordings, or a manifest that"
            " `audiocodec prepare` made: data.manifest=recordings.jsonl"
        )
    cache = Path(data.cache) if data.cache else folder / "cache"
    if is_shards(data.manifest):
        _check_shards(config)
        cutting = Cutting(rate, length, data.source_weights, data.workers)
        stream = SegmentStream(find_shards(data.manifest), cutting, config.seed, rank, world_size)
        sampler: Sampler = ShardSampler(stream, data, cache)
        return TrainingData(sampler, held_out_clips(config, [], cache))
    speech = [one for one in find_recordings(data.manifest, data.corpus) if one.kind == "speech"]
    training = _of_split(data.manifest, speech, "train")
    held_out = held_out_recordings(config, speech)
    check_present(data.manifest, [*training, *held_out], cache)
    store = SampleStore(training, rate, cache, progress)
    short = int((store.lengths[store.lengths > 0] < length).sum())
    if short:
        logger.warning(
            "%d of %d recordings are shorter than a segment of %g s, and followed by silence",
            short, len(training), length / rate,
        )  # fmt: skip
    sampler = _sampler(config, store, length, device or torch.device("cpu"))
    return TrainingData(sampler, held_out_clips(config, held_out, cache))


def held_out_recordings(config: TrainConfig, speech: Sequence[Recording]) -> list[Recording]:
    """What the model is judged by, when it is not in shards: of `valid_manifest`, or split valid of `speech`.

    Raises:
        InputError: there is none.
    """
    data = config.data
    if not config.validate_seconds or is_shards(data.valid_manifest):
        return []
    if not data.valid_manifest:
        return _of_split(data.manifest, speech, "valid")
    found = find_recordings(data.valid_manifest, data.corpus, hold_out=False)
    speech = [one for one in found if one.kind == "speech"]
    if {one.split for one in speech} == {"train"}:  # nothing in it speaks of splits: all is held out
        return list(speech)
    return _of_split(data.valid_manifest, speech, "valid")


def held_out_clips(
    config: TrainConfig, recordings: Sequence[Recording], cache: Path
) -> list[NDArray[np.float32]]:
    """Clips [L] of the held-out recordings, or of the shards that `valid_manifest` names."""
    data, rate = config.data, config.model.sample_rate
    if not config.validate_seconds:
        return []
    if is_shards(data.valid_manifest):
        return clips_of_shards(find_shards(data.valid_manifest), rate, config.validate_seconds)
    recordings = recordings or held_out_recordings(config, [])
    check_present(data.valid_manifest or data.manifest, recordings, cache)
    return pick_clips(SampleStore(recordings, rate, cache), config.validate_seconds)


def clips_of_shards(shards: Sequence[Path], sample_rate: int, seconds: float) -> list[NDArray[np.float32]]:
    """Take the start of the first recordings, as many of each shard, until `seconds` are together.

    Raises:
        InputError: no recording can be read.
    """
    length = int(CLIP_SECONDS * sample_rate)
    wanted = max(1, round(seconds / CLIP_SECONDS))
    clips: list[NDArray[np.float32]] = []
    for number, shard in enumerate(shards, 1):
        for packed in read_shard(shard):
            if len(clips) >= -(-wanted * number // len(shards)):
                break
            try:
                clips.append(decode_packed(packed, sample_rate)[:length])
            except InputError as error:
                logger.warning("skipped: %s", error)
    if not clips:
        raise InputError(f"{shards[0]}: no recording of the shards to validate on can be read")
    return clips


def pick_clips(
    store: SampleStore, seconds: float, clip_seconds: float = CLIP_SECONDS
) -> list[NDArray[np.float32]]:
    """Take the start of evenly spread recordings until `seconds` are together."""
    readable = np.flatnonzero(store.lengths)
    count = max(1, min(len(readable), round(seconds / clip_seconds)))
    picks = readable[np.linspace(0, len(readable) - 1, count).round().astype(int)]
    length = int(clip_seconds * store.sample_rate)
    return [store.segment(int(i), 0, min(length, int(store.lengths[i]))) for i in picks]


def _segment_length(config: TrainConfig) -> int:
    """Samples of a segment: whole frames, more than the delay of the model."""
    data, rate, net = config.data, config.model.sample_rate, config.model.net
    length = max(1, round(data.segment_seconds * rate / net.hop_length)) * net.hop_length
    if length <= net.delay:
        raise ConfigError(
            f"data.segment_seconds {data.segment_seconds:g} is no longer than the model's delay of"
            f" {net.delay} samples; give more"
        )
    return length


def _of_split(manifest: str, speech: Sequence[Recording], split: str) -> list[Recording]:
    found = [one for one in speech if one.split == split]
    if found:
        return found
    others = ", ".join(sorted({one.split for one in speech})) or "none"
    raise InputError(
        f"{manifest}: no recording of kind speech and split {split} (splits found: {others});"
        " check the columns kind and split"
        + (
            ", name others in data.valid_manifest, or set validate_seconds=0 to train without validation"
            if split == "valid"
            else ""
        )
    )


def _sampler(config: TrainConfig, store: SampleStore, length: int, device: torch.device) -> SegmentSampler:
    """Segments of `store`, given by `device` where its samples go there."""
    data, environments = config.data, open_environments(config.augment)
    if holds_corpus(data.on_device, store, device, cpu_effects(environments)):
        return ResidentSampler(store, data, length, device)
    return SegmentSampler(store, data, length)


def _check_shards(config: TrainConfig) -> None:
    """Shards name no splits, so what the model is judged by is named apart; they are never held."""
    if config.data.on_device == "always":
        raise ConfigError(
            "data.on_device is always, but data.manifest names shards, which are read while training;"
            " name a manifest or a folder, or set data.on_device=auto"
        )
    if config.validate_seconds and not config.data.valid_manifest:
        raise ConfigError(
            "data.manifest names shards, which have no splits: name held-out recordings or shards in"
            " data.valid_manifest, or set validate_seconds=0 to train without validation"
        )
