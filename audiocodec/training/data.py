"""Random speech segments from a manifest: what is drawn at a step follows from the seed and the step alone."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiocodec import audio
from audiocodec.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.training.config import DataConfig


@dataclass(frozen=True)
class Recording:
    """One line of a manifest."""

    path: Path
    split: str
    kind: str
    source: str


def read_manifest(path: Path) -> list[Recording]:
    """Read a CSV or JSONL manifest; audio paths in it are relative to its folder.

    Raises:
        InputError: the file is missing or a line lacks `path`.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = (
                list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]
            )
        return [
            Recording(
                path.parent / row["path"],
                str(row.get("split") or "train"),
                str(row.get("kind") or "speech"),
                str(row.get("source") or ""),
            )
            for row in rows
        ]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such manifest; set data.manifest to a CSV or JSONL file") from error
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: every line needs at least a `path`: {error}") from error


class SampleStore:
    """Recordings decoded once to 16-bit samples at one rate, kept in a memory-mapped file."""

    def __init__(self, recordings: Sequence[Recording], sample_rate: int, cache: Path) -> None:
        """Open the cache of these recordings, decoding them first where it is not there yet.

        Raises:
            InputError: there is no recording, or one cannot be read.
        """
        if not recordings:
            raise InputError("no recording is left to read; check the manifest's split and kind columns")
        listing = "\n".join(f"{r.path}" for r in recordings)
        key = hashlib.sha256(f"{sample_rate}\n{listing}".encode()).hexdigest()[:16]
        samples_path, lengths_path = cache / f"{key}.samples.npy", cache / f"{key}.lengths.npy"
        if not lengths_path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            self._decode(recordings, sample_rate, samples_path, lengths_path)
        self.samples: NDArray[np.int16] = np.load(samples_path, mmap_mode="r")
        self.lengths: NDArray[np.int64] = np.load(lengths_path)
        self.offsets = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self.sources = [recording.source for recording in recordings]
        self.sample_rate = sample_rate

    @staticmethod
    def _decode(
        recordings: Sequence[Recording], sample_rate: int, samples_path: Path, lengths_path: Path
    ) -> None:
        parts: list[NDArray[np.int16]] = []
        for recording in recordings:
            wav, rate = audio.read(recording.path)
            mono = audio.resample(wav.mean(axis=0, keepdims=True), rate, sample_rate)[0]
            parts.append((mono.clip(-1, 1) * 32767).round().astype(np.int16))
        for path, array in (
            (samples_path, np.concatenate(parts)),
            (lengths_path, np.array([len(p) for p in parts])),
        ):
            partial = path.with_suffix(".partial.npy")
            np.save(partial, array)
            partial.replace(path)

    def segment(self, index: int, start: int, length: int) -> NDArray[np.float32]:
        """Samples [length] of recording `index` from `start`, zeros after its end."""
        first = self.offsets[index] + start
        stop = self.offsets[index] + min(int(self.lengths[index]), start + length)
        wav = np.zeros(length, np.float32)
        wav[: stop - first] = self.samples[first:stop].astype(np.float32) / 32767
        return wav


class SegmentSampler:
    """Draws batches of levelled segments; the batch of a step depends on the seed and the step only."""

    def __init__(self, store: SampleStore, config: DataConfig, segment_length: int) -> None:
        """Draw segments of `segment_length` samples from `store`.

        Raises:
            ConfigError: `source_weights` names a source that the store does not have.
        """
        unknown = set(config.source_weights) - set(store.sources)
        if unknown:
            raise ConfigError(
                f"data.source_weights names {sorted(unknown)}; sources are {sorted(set(store.sources))}"
            )
        self.store, self.config, self.segment_length = store, config, segment_length
        weights = store.lengths * np.array([float(config.source_weights.get(s, 1.0)) for s in store.sources])
        self.probabilities = weights / weights.sum()

    def batch(self, rng: np.random.Generator, batch_size: int | None = None) -> Tensor:
        """Draw a batch [B, 1, L]."""
        picks = rng.choice(
            len(self.probabilities), batch_size or self.config.batch_size, p=self.probabilities
        )
        wavs = np.stack([self._example(int(pick), rng) for pick in picks])
        return torch.from_numpy(wavs)[:, None]

    def _example(self, index: int, rng: np.random.Generator) -> NDArray[np.float32]:
        start = int(rng.integers(max(1, int(self.store.lengths[index]) - self.segment_length + 1)))
        wav = self.store.segment(index, start, self.segment_length)
        level_db = rng.uniform(*self.config.level_db)
        if rng.random() >= self.config.level_probability:
            return wav
        rms = float(np.sqrt(np.mean(np.square(wav)))) + 1e-5
        # Silence is not raised by more than 30 dB, and nothing is driven into clipping by a new level.
        gain = min(10 ** (level_db / 20) / rms, 31.6, 0.99 / (float(np.abs(wav).max()) + 1e-5))
        return wav * np.float32(gain)
