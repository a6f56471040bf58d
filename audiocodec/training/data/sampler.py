"""Random speech segments in batches: what a step gets follows from the seed and the step alone."""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch

from audiocodec.config import check_names
from audiocodec.devices import send
from audiocodec.errors import ConfigError
from audiocodec.training.data.store import FULL_SCALE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.training.data.config import DataConfig
    from audiocodec.training.data.store import SampleStore

MAX_GAIN = 31.6
"""Silence is not amplified by more than 30 dB."""
MAX_PEAK = 0.99
"""No new level makes a segment clip."""
SIMILAR = 0.8
"""Similarity of two names from which on one of them counts as misspelled."""
LARGEST_SHARE = 0.25
"""Part of the free memory of a device that a corpus may take; the rest is for the step."""
CHUNK = 1 << 26
"""Samples sent at a time, so that a corpus is never in main memory as a whole."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Example:
    """Origin of a segment, for effects (no babble of the same speaker) and logs.

    Attributes:
        path: of the recording, as text; a member of a shard is `SHARD/KEY`.
        speaker: unique within a source; empty when not known.
        source: the corpus.
        start: first sample of the segment in the recording, at the rate of the model.
        index: number of the recording in its store; -1 for shards.
    """

    path: str
    speaker: str
    source: str
    start: int
    index: int = -1


@dataclass(frozen=True)
class Batch:
    """Segments [B, 1, L] and the origin of each."""

    wav: Tensor
    examples: tuple[Example, ...]


class Sampler(Protocol):
    """Gives the batches of a run; each depends on its random generator and its number alone.

    Attributes:
        segment_length: samples L of a segment.
        skipped: by name, why a recording could not be used so far.
        skips: number of times that a recording could not be used so far.
    """

    segment_length: int

    @property
    def skipped(self) -> Mapping[str, str]:
        """See above."""
        ...

    @property
    def skips(self) -> int:
        """See above."""
        ...

    def draw(self, rng: np.random.Generator, step: int | None = None) -> Batch:
        """Draw batch number `step`, counted on this rank from 0; None: the one after the last drawn.

        May be called from several threads at once, for steps not far from each other.
        """
        ...


def step_rng(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """The random generator of a step: another one for each rank; rank 0 has that of a single process."""
    return np.random.default_rng((seed, step, rank) if rank else (seed, step))


class Pick(NamedTuple):
    """One segment: recording number `recording` from sample `start`, set to `level_db` or left as it is."""

    recording: int
    start: int
    level_db: float | None


class SegmentSampler:
    """Draws batches of segments at random levels; the batch of a step depends on its random generator only.

    A recording is drawn in proportion to its length and the weight of its source. A recording that is shorter
    than a segment is followed by silence.
    """

    def __init__(self, store: SampleStore, config: DataConfig, segment_length: int) -> None:
        """Draw segments of `segment_length` samples from `store`.

        Raises:
            ConfigError: `source_weights` misspells a source of the store, or leaves none.
        """
        sources = set(store.sources)
        unused = config.source_weights.keys() - sources
        misspelled = [
            name for name in unused if difflib.get_close_matches(name, sources, n=1, cutoff=SIMILAR)
        ]
        check_names("data.source_weights", misspelled, sources)
        warn_unused_weights(unused)
        self.store, self.config, self.segment_length = store, config, segment_length
        weights = store.lengths * np.array([float(config.source_weights.get(s, 1.0)) for s in store.sources])
        if not weights.any():
            raise ConfigError("data.source_weights are 0 for every source; give one a weight above 0")
        self.probabilities = weights / weights.sum()

    @property
    def skipped(self) -> Mapping[str, str]:
        """By name, why a recording could not be read."""
        return self.store.skipped

    @property
    def skips(self) -> int:
        """Number of recordings that could not be read."""
        return len(self.store.skipped)

    def draw(self, rng: np.random.Generator, step: int | None = None, batch_size: int | None = None) -> Batch:
        """Draw a batch; it follows from `rng` alone, whatever the step."""
        picks = self.picks(rng, batch_size or self.config.batch_size)
        wavs = [
            set_level(self.store.segment(pick.recording, pick.start, self.segment_length), pick.level_db)
            for pick in picks
        ]
        return Batch(torch.from_numpy(np.stack(wavs))[:, None], tuple(map(self.example, picks)))

    def picks(self, rng: np.random.Generator, count: int) -> list[Pick]:
        """Draw `count` segments and their levels."""
        indices: list[int] = rng.choice(len(self.probabilities), count, p=self.probabilities).tolist()
        picks: list[Pick] = []
        for index in indices:
            start = int(rng.integers(max(1, int(self.store.lengths[index]) - self.segment_length + 1)))
            picks.append(Pick(index, start, draw_level(self.config, rng)))
        return picks

    def example(self, pick: Pick) -> Example:
        """The origin of a segment."""
        one = self.store.recordings[pick.recording]
        return Example(str(one.path), one.speaker, one.source, pick.start, pick.recording)


def warn_unused_weights(names: Collection[str]) -> None:
    """Warn of `source_weights` without recordings; a recipe may be used with recordings of other sources."""
    if names:
        logger.warning("data.source_weights: no recording is of source %s", ", ".join(sorted(names)))


def draw_level(config: DataConfig, rng: np.random.Generator) -> float | None:
    """Draw a level in dB by `level_db` and `level_probability`; None: the level does not change."""
    level_db = rng.uniform(*config.level_db)
    return None if rng.random() >= config.level_probability else level_db


def set_level(wav: NDArray[np.float32], level_db: float | None) -> NDArray[np.float32]:
    """Scale wav [L] to an RMS of `level_db` of full scale, within MAX_GAIN and MAX_PEAK; None leaves it."""
    if level_db is None:
        return wav
    rms = float(np.sqrt(np.mean(np.square(wav)))) + 1e-5
    gain = min(10 ** (level_db / 20) / rms, MAX_GAIN, MAX_PEAK / (float(np.abs(wav).max()) + 1e-5))
    return wav * np.float32(gain)


class ResidentSampler(SegmentSampler):
    """Holds a whole corpus as 16-bit samples on `device` and makes the batches of `SegmentSampler` there.

    Segments and levels are drawn in the same way: the batches are the same but for the rounding of levels.

    Attributes:
        samples: of all recordings, one after the other.
        device: where samples and batches are.
    """

    def __init__(
        self, store: SampleStore, config: DataConfig, segment_length: int, device: torch.device
    ) -> None:
        """Draw segments of `segment_length` samples from `store`.

        Raises:
            ConfigError: `source_weights` misspells a source of the store, or leaves none.
        """
        super().__init__(store, config, segment_length)
        self.device, self.samples = device, resident(store.samples, device)
        self._steps = torch.arange(segment_length, device=device)

    def draw(self, rng: np.random.Generator, step: int | None = None, batch_size: int | None = None) -> Batch:
        """Draw a batch [B, 1, L] on the device; it follows from `rng` alone, whatever the step."""
        picks = self.picks(rng, batch_size or self.config.batch_size)
        indices, starts = (np.array([pick[part] for pick in picks]) for part in (0, 1))
        places = np.stack([self.store.offsets[indices] + starts, self.store.lengths[indices] - starts])
        levels = np.array([np.nan if pick.level_db is None else pick.level_db for pick in picks], np.float32)
        first, length = send(places, self.device)[..., None]
        positions = (first + self._steps).clamp_(max=len(self.samples) - 1)
        wavs = (self.samples[positions].float() / FULL_SCALE) * (self._steps < length)
        wavs = set_levels(wavs, send(levels, self.device))
        return Batch(wavs[:, None], tuple(map(self.example, picks)))


def set_levels(wavs: Tensor, level_db: Tensor) -> Tensor:
    """Scale each row of `wavs` [B, L] to an RMS of `level_db` [B], as `set_level` does; NaN leaves it."""
    rms = wavs.square().mean(dim=1).sqrt() + 1e-5
    peak = wavs.abs().amax(dim=1) + 1e-5
    gain = torch.minimum((10 ** (level_db / 20) / rms).clamp(max=MAX_GAIN), MAX_PEAK / peak)
    return wavs * torch.where(level_db.isnan(), 1.0, gain)[:, None]


def resident(samples: NDArray[np.int16], device: torch.device) -> Tensor:
    """Copy samples [L], which may be memory-mapped, to `device`."""
    copied = torch.empty(len(samples), dtype=torch.int16, device=device)
    for first in range(0, len(samples), CHUNK):
        copied[first : first + CHUNK] = torch.from_numpy(np.array(samples[first : first + CHUNK]))
    return copied


def holds_corpus(
    choice: str, store: SampleStore, device: torch.device, cpu_effects: Collection[str] = ()
) -> bool:
    """Whether `device` holds the samples of `store`, by `choice`: auto, always or never.

    "auto" is "always" for a GPU with enough memory, if there are no `cpu_effects`: names of effects that only
    the CPU can apply.

    Raises:
        ConfigError: `choice` is "always", and there are such effects.
    """
    if choice == "never" or (choice == "auto" and device.type != "cuda"):
        return False
    if cpu_effects:
        problem = f"augment.environments has effects that only the CPU applies: {', '.join(cpu_effects)}"
        if choice == "always":
            raise ConfigError(
                f"data.on_device is always, but {problem}; name environments of noise, room and gain alone,"
                " such as rooms, or set data.on_device=auto"
            )
        logger.info("%s; the CPU makes the batches", problem)
        return False
    wanted = 2 * len(store.samples)
    if choice == "auto" and wanted > LARGEST_SHARE * torch.cuda.mem_get_info(device)[0]:
        logger.info("%d MB of samples are too much for %s; the CPU makes the batches", wanted >> 20, device)
        return False
    return True
