"""Opens the recordings that a run trains and validates on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiocodec.corpus.finding import check_present, find_recordings
from audiocodec.corpus.shards import decode_packed, find_shards, is_shards, read_shard
from audiocodec.errors import ConfigError, InputError
from audiocodec.training.data.sampler import ResidentSampler, SegmentSampler, holds_corpus
from audiocodec.training.data.shard_sampler import Cutting, SegmentStream, ShardSampler
from audiocodec.training.data.store import SampleStore
from audiocodec.training.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import torch
    from numpy.typing import NDArray

    from audiocodec.corpus.manifest import Recording
    from audiocodec.training.data.config import DataConfig
    from audiocodec.training.data.sampler import Sampler

logger = logging.getLogger(__name__)

CLIP_SECONDS = 6.0
"""Part of a recording that a validation scores."""


@dataclass(frozen=True)
class TrainingData:
    """Segments to train on, and held-out clips [L] at the rate of the model."""

    sampler: Sampler
    clips: list[NDArray[np.float32]] = field(default_factory=list["NDArray[np.float32]"])


def open_data(
    config: DataConfig,
    folder: Path,
    sample_rate: int,
    segment_length: int,
    *,
    seed: int = 0,
    validate_seconds: float = 0.0,
    cpu_effects: Collection[str] = (),
    processes: Processes | None = None,
    progress: Callable[[float], None] | None = None,
) -> TrainingData:
    """Find the recordings and decode those that are not in the cache; shards are read during the training.

    The cache is in `folder` unless `config` names one. Validation uses clips of `validate_seconds` together.
    The device of `processes` holds the samples if `config` says so and there are no `cpu_effects`: names of
    effects that only the CPU can apply. Each process reads its own part of the shards. With several processes
    on one cache, one must have opened it before the others do. `progress` is called with the share of the
    training recordings that are decoded.

    Raises:
        InputError: files are missing, or a split has no recording that can be read.
        ConfigError: no manifest is set, or a source is unknown.
    """
    if not config.manifest:
        raise ConfigError(
            "data.manifest is not set; name a folder of recordings, or a manifest that"
            " `audiocodec prepare` made: data.manifest=recordings.jsonl"
        )
    processes = processes or Processes()
    cache = Path(config.cache) if config.cache else folder / "cache"
    if is_shards(config.manifest):
        _check_shards(config, validate_seconds)
        cutting = Cutting(sample_rate, segment_length, config.source_weights, config.workers)
        shards = find_shards(config.manifest)
        stream = SegmentStream(shards, cutting, seed, processes.rank, processes.world_size)
        sampler: Sampler = ShardSampler(stream, config, cache)
        held_out = held_out_recordings(config, []) if validate_seconds else []
        check_present(config.valid_manifest, held_out, cache)
    else:
        speech = [one for one in find_recordings(config.manifest, config.corpus) if one.kind == "speech"]
        training = _of_split(config.manifest, speech, "train")
        held_out = held_out_recordings(config, speech) if validate_seconds else []
        check_present(config.manifest, [*training, *held_out], cache)
        store = SampleStore(training, sample_rate, cache, progress)
        sampler = _segment_sampler(config, store, segment_length, processes.device, cpu_effects)
    if not validate_seconds:
        return TrainingData(sampler, [])
    if is_shards(config.valid_manifest):
        shards = find_shards(config.valid_manifest)
        return TrainingData(sampler, clips_of_shards(shards, sample_rate, validate_seconds))
    return TrainingData(sampler, pick_clips(SampleStore(held_out, sample_rate, cache), validate_seconds))


def held_out_recordings(config: DataConfig, speech: Sequence[Recording]) -> list[Recording]:
    """The recordings of the validation: of `valid_manifest` or split valid of `speech`; none for shards.

    Raises:
        InputError: there is none.
    """
    if is_shards(config.valid_manifest):
        return []
    if not config.valid_manifest:
        return _of_split(config.manifest, speech, "valid")
    recordings = find_recordings(config.valid_manifest, config.corpus, hold_out=False)
    speech = [one for one in recordings if one.kind == "speech"]
    if {one.split for one in speech} == {"train"}:  # it names no splits: all of it is held out
        return speech
    return _of_split(config.valid_manifest, speech, "valid")


def clips_of_shards(shards: Sequence[Path], sample_rate: int, seconds: float) -> list[NDArray[np.float32]]:
    """Take the starts of the first recordings of each shard, about `seconds` together.

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
    """Take the starts of evenly spread recordings, about `seconds` together."""
    readable = np.flatnonzero(store.lengths)
    count = max(1, min(len(readable), round(seconds / clip_seconds)))
    picks = readable[np.linspace(0, len(readable) - 1, count).round().astype(int)]
    length = int(clip_seconds * store.sample_rate)
    return [store.segment(int(i), 0, min(length, int(store.lengths[i]))) for i in picks]


def _of_split(manifest: str, speech: Sequence[Recording], split: str) -> list[Recording]:
    of_split = [one for one in speech if one.split == split]
    if of_split:
        return of_split
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


def _segment_sampler(
    config: DataConfig,
    store: SampleStore,
    segment_length: int,
    device: torch.device,
    cpu_effects: Collection[str],
) -> SegmentSampler:
    short = int((store.lengths[store.lengths > 0] < segment_length).sum())
    if short:
        logger.warning(
            "%d of %d recordings are shorter than a segment of %g s, and followed by silence",
            short, len(store.lengths), segment_length / store.sample_rate,
        )  # fmt: skip
    if holds_corpus(config.on_device, store, device, cpu_effects):
        return ResidentSampler(store, config, segment_length, device)
    return SegmentSampler(store, config, segment_length)


def _check_shards(config: DataConfig, validate_seconds: float) -> None:
    """Shards have no splits, so that held-out recordings are named elsewhere; a device never holds them."""
    if config.on_device == "always":
        raise ConfigError(
            "data.on_device is always, but data.manifest names shards, which are read while training;"
            " name a manifest or a folder, or set data.on_device=auto"
        )
    if validate_seconds and not config.valid_manifest:
        raise ConfigError(
            "data.manifest names shards, which have no splits: name held-out recordings or shards in"
            " data.valid_manifest, or set validate_seconds=0 to train without validation"
        )
