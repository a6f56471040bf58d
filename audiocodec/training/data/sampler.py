"""Random speech segments: what is drawn at a step follows from the seed and the step alone."""

from __future__ import annotations

import difflib
import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from audiocodec.config import check_names
from audiocodec.errors import ConfigError
from audiocodec.training.data.batch import Batch, Example

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.training.data.config import DataConfig
    from audiocodec.training.data.store import SampleStore

logger = logging.getLogger(__name__)

MAX_GAIN = 31.6
"""Silence is not raised by more than 30 dB."""
MAX_PEAK = 0.99
"""No new level drives a segment into clipping."""
NEAR = 0.8
"""Likeness of two names from which one is taken for a misspelling of the other."""


class Pick(NamedTuple):
    """One segment: recording number `recording` from sample `start`, set to `level_db` or left as it is."""

    recording: int
    start: int
    level_db: float | None


class SegmentSampler:
    """Draws batches of levelled segments; the batch of a step depends on its random generator only.

    A recording is drawn in proportion to its length and the weight of its source; one shorter than a segment
    is followed by silence.
    """

    def __init__(self, store: SampleStore, config: DataConfig, segment_length: int) -> None:
        """Draw segments of `segment_length` samples from `store`.

        Raises:
            ConfigError: `source_weights` misspells a source of the store, or leaves none.
        """
        _check_sources(config.source_weights, set(store.sources))
        self.store, self.config, self.segment_length = store, config, segment_length
        weights = store.lengths * np.array([float(config.source_weights.get(s, 1.0)) for s in store.sources])
        if not weights.any():
            raise ConfigError("data.source_weights are 0 for every source; give one a weight above 0")
        self.probabilities = weights / weights.sum()

    @property
    def skipped(self) -> Mapping[str, str]:
        """Reason for each recording that could not be read, by name."""
        return self.store.skipped

    @property
    def skips(self) -> int:
        """How many recordings could not be read."""
        return len(self.store.skipped)

    def draw(self, rng: np.random.Generator, step: int | None = None, batch_size: int | None = None) -> Batch:
        """Draw a batch; which one follows from `rng` alone, whatever the step."""
        picks = self.picks(rng, batch_size or self.config.batch_size)
        wavs = [self._segment(pick) for pick in picks]
        return Batch(torch.from_numpy(np.stack(wavs))[:, None], tuple(map(self.example, picks)))

    def batch(self, rng: np.random.Generator, batch_size: int | None = None) -> Tensor:
        """Draw a batch [B, 1, L] alone."""
        return self.draw(rng, batch_size=batch_size).wav

    def picks(self, rng: np.random.Generator, count: int) -> list[Pick]:
        """Draw `count` segments and their levels."""
        indices: list[int] = rng.choice(len(self.probabilities), count, p=self.probabilities).tolist()
        return [self._pick(index, rng) for index in indices]

    def example(self, pick: Pick) -> Example:
        """Say where a segment comes from."""
        found = self.store.recordings[pick.recording]
        return Example(str(found.path), found.speaker, found.source, pick.start, pick.recording)

    def _pick(self, index: int, rng: np.random.Generator) -> Pick:
        start = int(rng.integers(max(1, int(self.store.lengths[index]) - self.segment_length + 1)))
        return Pick(index, start, draw_level(self.config, rng))

    def _segment(self, pick: Pick) -> NDArray[np.float32]:
        wav = self.store.segment(pick.recording, pick.start, self.segment_length)
        return wav if pick.level_db is None else set_level(wav, pick.level_db)


def say_without_source(names: Collection[str]) -> None:
    """Say which of `source_weights` count nothing; a recipe may be used for other recordings than its own."""
    if names:
        logger.warning("data.source_weights: no recording is of source %s", ", ".join(sorted(names)))


def _check_sources(weights: Mapping[str, float], sources: Collection[str]) -> None:
    unknown = weights.keys() - sources
    misspelt = [name for name in unknown if difflib.get_close_matches(name, sources, n=1, cutoff=NEAR)]
    check_names("data.source_weights", misspelt, sources)
    say_without_source(unknown)


def draw_level(config: DataConfig, rng: np.random.Generator) -> float | None:
    """Draw a level in dB, as `config` says; None for one that stays."""
    level_db = rng.uniform(*config.level_db)
    return None if rng.random() >= config.level_probability else level_db


def levelled(wav: NDArray[np.float32], config: DataConfig, rng: np.random.Generator) -> NDArray[np.float32]:
    """Set wav [L] to a drawn level, or leave it, as `config` says."""
    level_db = draw_level(config, rng)
    return wav if level_db is None else set_level(wav, level_db)


def set_level(wav: NDArray[np.float32], level_db: float) -> NDArray[np.float32]:
    """Scale wav [L] to an RMS of `level_db` relative to full scale, within MAX_GAIN and MAX_PEAK."""
    rms = float(np.sqrt(np.mean(np.square(wav)))) + 1e-5
    gain = min(10 ** (level_db / 20) / rms, MAX_GAIN, MAX_PEAK / (float(np.abs(wav).max()) + 1e-5))
    return wav * np.float32(gain)
