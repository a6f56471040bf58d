"""Batches from shards: shuffled block by block, so that the block of any step can be found again."""

from __future__ import annotations

import hashlib
import json
import threading
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from audiocodec.audio import stamp
from audiocodec.errors import InputError
from audiocodec.storage import Journal, make_folder
from audiocodec.training.data.batch import Batch, Example
from audiocodec.training.data.decoding import to_float32
from audiocodec.training.data.sampler import levelled
from audiocodec.training.data.shards.stream import Cursor, Cut, SegmentStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from audiocodec.training.data.config import DataConfig

_SHUFFLE = 2**31 + 3
"""Keeps the randomness of the order within a block apart from that of the stream and of steps."""
KEPT_BLOCKS = 2
"""Blocks kept beside the one that is being read: threads may ask for steps a little out of order."""
MAX_PLACE = 1 << 62


class ShardSampler:
    """Draws batches from a stream of segments; which one follows from seed, rank and number of the batch.

    Of the stream, `shuffle_segments` segments at a time (rounded up to whole batches) are a block, which is
    shuffled as a whole. While the batches of one block are drawn, the next is read, as many segments at each
    draw as it takes. Where each block starts in the shards is noted in the cache, so going back to any step
    that was reached once reads no more than its block; a step that was not, or without the cache, is reached
    by reading everything before it.

    Attributes:
        segment_length: samples L of a segment.
    """

    def __init__(self, stream: SegmentStream, config: DataConfig, cache: Path | None = None) -> None:
        """Draw from `stream`; starts of blocks are noted in the folder `cache`.

        Raises:
            InputError: the cache cannot be written.
        """
        self.segment_length = stream.cutting.segment_length
        self.stream, self.config = stream, config
        self.batches_per_block = -(-config.shuffle_segments // config.batch_size)
        self.block_length = self.batches_per_block * config.batch_size
        self._places = _Places(None if cache is None else cache / f"{self._key()}.blocks.jsonl")
        self._ready: dict[int, list[Cut]] = {}
        self._cuts: Iterator[Cut] = stream.cuts()
        self._filling = 0
        self._filled: list[Cut] = []
        self._next_step = 0
        self._lock = threading.Lock()

    @property
    def skipped(self) -> Mapping[str, str]:
        """Reason for each recording that could not be used so far, by name."""
        return self.stream.skipped

    @property
    def skips(self) -> int:
        """How often a recording could not be used so far."""
        return self.stream.skips

    def draw(self, rng: np.random.Generator, step: int | None = None) -> Batch:
        """Draw batch number `step` of this rank; None: the one after the last. `rng` draws levels alone.

        Raises:
            InputError: the shards cannot be read, or give nothing.
        """
        with self._lock:
            step = self._next_step if step is None else step
            self._next_step = step + 1
            block, place = divmod(step, self.batches_per_block)
            cuts = self._block(block)
            if self._filling == block + 1:
                self._fill((place + 1) * self.config.batch_size)
        first = place * self.config.batch_size
        cuts = cuts[first : first + self.config.batch_size]
        wavs = [levelled(to_float32(cut.samples), self.config, rng) for cut in cuts]
        examples = tuple(Example(cut.path, cut.speaker, cut.source, cut.start) for cut in cuts)
        return Batch(torch.from_numpy(np.stack(wavs))[:, None], examples)

    def batch(self, rng: np.random.Generator) -> Tensor:
        """Draw the next batch [B, 1, L] alone."""
        return self.draw(rng).wav

    def _block(self, number: int) -> list[Cut]:
        """A block, shuffled; read from where it starts if it is not the one that is being read."""
        if number not in self._ready:
            if number != self._filling:
                self._seek(number)
            self._fill(self.block_length)
            seed, rank = self.stream.seed, self.stream.rank
            order = np.random.default_rng((seed, _SHUFFLE, rank, number)).permutation(self.block_length)
            self._ready[number] = [self._filled[i] for i in order]
            self._places.note(number + 1, self._filled[-1].after)
            self._filling, self._filled = number + 1, []
            for old in sorted(self._ready, key=lambda one: abs(one - number))[KEPT_BLOCKS:]:
                del self._ready[old]
        return self._ready[number]

    def _fill(self, count: int) -> None:
        """Read on until the block that is being read has so many segments."""
        self._filled += islice(self._cuts, max(0, count - len(self._filled)))

    def _seek(self, block: int) -> None:
        known, cursor = self._places.before(block)
        self._cuts = self.stream.cuts(cursor)
        self._filling, self._filled = block, []
        for passed in range(known, block):
            for cut in islice(self._cuts, self.block_length):
                cursor = cut.after
            self._places.note(passed + 1, cursor)

    def _key(self) -> str:
        """What the place of a block depends on."""
        stream = self.stream
        cutting = (stream.cutting.sample_rate, stream.cutting.segment_length, dict(stream.cutting.weights))
        shards = [(str(path), *stamp(path)) for path in stream.shards]
        parts = (stream.seed, stream.rank, stream.world_size, self.block_length, cutting, shards)
        return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()[:16]


class _Places:
    """Where blocks start in a stream; kept in a journal, so that a later run knows them."""

    def __init__(self, path: Path | None) -> None:
        self._known: dict[int, Cursor] = {0: Cursor()}
        self._journal: Journal[tuple[int, Cursor]] | None = None
        if path is not None:
            try:
                make_folder(path.parent)
            except OSError as error:
                raise InputError(f"{path}: cannot be written ({error.strerror}); set data.cache") from error
            self._journal = Journal(path, _parse_place)
            self._known |= dict(self._journal.entries)

    def note(self, block: int, cursor: Cursor) -> None:
        """Remember where a block starts."""
        if block not in self._known:
            self._known[block] = cursor
            if self._journal is not None:
                self._journal.append([block, *cursor])

    def before(self, block: int) -> tuple[int, Cursor]:
        """The last block up to `block` whose start is known, and that start."""
        known = max(number for number in self._known if number <= block)
        return known, self._known[known]


def _parse_place(line: Any) -> tuple[int, Cursor]:
    block, *place = line
    if len(place) != 3 or not all(type(n) is int and 0 <= n < MAX_PLACE for n in (block, *place)):
        raise ValueError("no place of a block")
    return block, Cursor(*place)
