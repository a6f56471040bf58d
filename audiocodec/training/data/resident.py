"""A whole corpus on the device that trains, so that a batch is cut there and only a few numbers are sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiocodec.devices import send
from audiocodec.errors import ConfigError
from audiocodec.training.data.batch import Batch
from audiocodec.training.data.decoding import FULL_SCALE
from audiocodec.training.data.sampler import MAX_GAIN, MAX_PEAK, SegmentSampler

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.training.data.config import DataConfig
    from audiocodec.training.data.store import SampleStore

LARGEST_SHARE = 0.25
"""Of the free memory of a device; the rest is for the step."""
CHUNK = 1 << 26
"""Samples sent at a time, so that a corpus is never in main memory as a whole."""

logger = logging.getLogger(__name__)


class ResidentSampler(SegmentSampler):
    """Draws the batches of `SegmentSampler`, from samples held as 16 bit on `device`, and gives them there.

    The numbers that say which segments, and how loud, are drawn as ever: a run is the same either way but for
    the rounding of levels.

    Attributes:
        samples: of all recordings, one after the other.
        device: where they are.
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
        """Draw a batch [B, 1, L] on the device; which one follows from `rng` alone, whatever the step."""
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
    """Scale each of `wavs` [B, L] to its RMS of `level_db` [B], as `set_level` does; NaN leaves it."""
    rms = wavs.square().mean(dim=1).sqrt() + 1e-5
    peak = wavs.abs().amax(dim=1) + 1e-5
    gain = torch.minimum((10 ** (level_db / 20) / rms).clamp(max=MAX_GAIN), MAX_PEAK / peak)
    return wavs * torch.where(level_db.isnan(), 1.0, gain)[:, None]


def resident(samples: NDArray[np.int16], device: torch.device) -> Tensor:
    """Copy samples [L], which may be a file, to `device`."""
    held = torch.empty(len(samples), dtype=torch.int16, device=device)
    for first in range(0, len(samples), CHUNK):
        held[first : first + CHUNK] = torch.from_numpy(np.array(samples[first : first + CHUNK]))
    return held


def holds_corpus(
    choice: str, store: SampleStore, device: torch.device, cpu_effects: Collection[str] = ()
) -> bool:
    """Whether the samples of `store` go to `device`, by `choice`: auto, always or never.

    "auto" is for a GPU with memory enough, and environments without any of `cpu_effects`, which only the CPU
    can apply.

    Raises:
        ConfigError: "always", but there are such effects.
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
        logger.info("%s; batches are made by it", problem)
        return False
    wanted = 2 * len(store.samples)
    if choice == "auto" and wanted > LARGEST_SHARE * torch.cuda.mem_get_info(device)[0]:
        logger.info("%d MB of samples are too much for %s; batches are made by the CPU", wanted >> 20, device)
        return False
    return True
