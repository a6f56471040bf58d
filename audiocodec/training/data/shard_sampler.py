"""Batches from tar shards (as WebDataset lays them out), read in order; a run can go back to any step."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from audiocodec.audio import stamp
from audiocodec.corpus.shards import Packed, decode_packed, read_shard
from audiocodec.errors import InputError
from audiocodec.storage import Journal, make_folder
from audiocodec.training.data.prefetch import in_order
from audiocodec.training.data.sampler import Batch, Example, draw_level, set_level, warn_unused_weights
from audiocodec.training.data.store import to_float32, to_int16

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiocodec.training.data.config import DataConfig

_ORDER, _CUTS, _SHUFFLE = 2**31 + 1, 2**31 + 2, 2**31 + 3
"""Parts of seeds: order of shards, cuts and shuffled blocks get other random numbers than steps."""
MAX_NAMED = 100
"""Recordings that could not be used are all counted; so many are named, each once."""
KEPT_BLOCKS = 2
"""Blocks kept beside the one that is being read: threads may ask for steps a little out of order."""
MAX_PLACE = 1 << 62

logger = logging.getLogger(__name__)


class Cursor(NamedTuple):
    """A place in the stream of a rank: numbers of the shard, of its recording, and of the segment in that."""

    shard: int = 0
    recording: int = 0
    segment: int = 0


@dataclass(frozen=True)
class Cut:
    """A segment: its 16-bit samples [L], their origin, and the place in the stream after it."""

    samples: NDArray[np.int16]
    path: str
    speaker: str
    source: str
    start: int
    after: Cursor


@dataclass(frozen=True)
class Cutting:
    """How recordings are cut into segments.

    Attributes:
        sample_rate: of the segments, in Hz.
        segment_length: samples L of each.
        weights: by source, factor on the number of segments of a recording; default 1.
        jobs: number of threads that decode.
    """

    sample_rate: int
    segment_length: int
    weights: Mapping[str, float]
    jobs: int = 1


class SegmentStream:
    """The endless stream of segments that one rank cuts out of shards, from any place on.

    Each pass over the shards has an order of its own. In the sequence of all passes, rank r of R reads every
    R-th shard from the r-th on, so that no two ranks read the same shard at a time. A recording gives as many
    segments as fit into it (a fraction is rounded at random), so that recordings count by their length. The
    segments start at random places, spread over the recording.

    Attributes:
        skipped: by name, why a recording could not be used.
        skips: number of times that a recording could not be used.
    """

    def __init__(
        self, shards: Sequence[Path], cutting: Cutting, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        """Read `shards` as rank `rank` of `world_size`.

        Raises:
            InputError: there are fewer shards than ranks.
        """
        if len(shards) < world_size:
            raise InputError(f"{len(shards)} shards for {world_size} ranks; split them into more")
        self.shards, self.cutting, self.seed = list(shards), cutting, seed
        self.rank, self.world_size = rank, world_size
        self.skipped: dict[str, str] = {}
        self.skips = 0
        self._read: set[Path] = set()
        self._unseen_sources: set[str] = {*cutting.weights}

    def cuts(self, start: Cursor = Cursor()) -> Iterator[Cut]:  # noqa: B008 - immutable
        """All segments from `start` on.

        Raises:
            InputError: a shard cannot be read, or none of all shards gives a segment.
        """
        cursor, empty = start, 0
        while empty < len(self.shards):
            before = cursor
            for cut in self._shard(cursor):
                cursor = cut.after
                yield cut
            # Count shards in a row that were read from their start and gave nothing.
            empty = empty + 1 if cursor == before == Cursor(before.shard) else 0
            cursor = Cursor(before.shard + 1)
        reasons = "; ".join(list(self.skipped.values())[:3]) or "they hold no sound"
        raise InputError(f"none of {len(self.shards)} shards gives a segment: {reasons}")

    def _shard(self, start: Cursor) -> Iterator[Cut]:
        place = start.shard * self.world_size + self.rank
        turn, number = divmod(place, len(self.shards))
        shard = self.shards[_order(self.seed, turn, len(self.shards))[number]]
        packed = read_shard(shard)
        numbered = ((n, item) for n, item in enumerate(packed) if n >= start.recording)
        results = in_order(lambda one: (*one, self._decode(one[1])), numbered, self.cutting.jobs)
        for recording, item, wav in results:
            self._unseen_sources.discard(item.source)
            if isinstance(wav, str):
                self._skip(item.name, wav)
                continue
            first = start.segment if recording == start.recording else 0
            rng = np.random.default_rng((self.seed, _CUTS, place, recording))
            for segment, begin in enumerate(self._starts(len(wav), item.source, rng)):
                if segment >= first:
                    after = Cursor(start.shard, recording, segment + 1)
                    yield Cut(self._cut(wav, begin), item.name, item.speaker, item.source, begin, after)

        if not start.recording:
            self._read.add(shard)
        if len(self._read) == len(self.shards):
            warn_unused_weights(self._unseen_sources)
            self._unseen_sources = set()

    def _starts(self, length: int, source: str, rng: np.random.Generator) -> list[int]:
        """First samples of the segments of a recording; their number follows from its length and weight."""
        expected = self.cutting.weights.get(source, 1.0) * length / self.cutting.segment_length
        count = math.floor(expected + rng.random())
        room = max(0, length - self.cutting.segment_length)
        places = (np.arange(count) + rng.random(count)) / max(1, count)
        return [int(place) for place in places * (room + 1)]

    def _cut(self, wav: NDArray[np.int16], start: int) -> NDArray[np.int16]:
        cut = np.zeros(self.cutting.segment_length, np.int16)
        part = wav[start : start + self.cutting.segment_length]
        cut[: len(part)] = part
        return cut

    def _decode(self, item: Packed) -> NDArray[np.int16] | str:
        try:
            return to_int16(decode_packed(item, self.cutting.sample_rate))
        except InputError as error:
            return str(error)

    def _skip(self, name: str, problem: str) -> None:
        self.skips += 1
        if name not in self.skipped and len(self.skipped) < MAX_NAMED:
            self.skipped[name] = problem
            logger.warning("skipped: %s", problem)


@lru_cache(maxsize=4)
def _order(seed: int, turn: int, count: int) -> NDArray[np.int64]:
    """Numbers of the shards in the order of pass number `turn`; the same on all ranks."""
    return np.random.default_rng((seed, _ORDER, turn)).permutation(count)


class ShardSampler:
    """Draws batches from a stream of segments; a batch follows from seed, rank and its number.

    `shuffle_segments` segments of the stream (rounded up to whole batches) form a block, which is shuffled as
    a whole. While the batches of a block are drawn, the next block is read, a few segments at each draw. The
    cache keeps where each block starts in the shards: going back to a step that was reached before reads its
    block only. Without the cache, or for a later step, everything before the step is read.

    Attributes:
        segment_length: samples L of a segment.
    """

    def __init__(self, stream: SegmentStream, config: DataConfig, cache: Path | None = None) -> None:
        """Draw from `stream`; the folder `cache` keeps the starts of blocks.

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
        """By name, why a recording could not be used so far."""
        return self.stream.skipped

    @property
    def skips(self) -> int:
        """Number of times that a recording could not be used so far."""
        return self.stream.skips

    def draw(self, rng: np.random.Generator, step: int | None = None) -> Batch:
        """Draw batch number `step` of this rank; None: the one after the last. `rng` draws only levels.

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
        wavs = [set_level(to_float32(cut.samples), draw_level(self.config, rng)) for cut in cuts]
        examples = tuple(Example(cut.path, cut.speaker, cut.source, cut.start) for cut in cuts)
        return Batch(torch.from_numpy(np.stack(wavs))[:, None], examples)

    def _block(self, number: int) -> list[Cut]:
        """A shuffled block; another one than the block that is being read is read from its start."""
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
        """Read on until the block that is being read has `count` segments."""
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
        """Hash of everything that the places of blocks depend on."""
        stream = self.stream
        cutting = (stream.cutting.sample_rate, stream.cutting.segment_length, dict(stream.cutting.weights))
        shards = [(str(path), *stamp(path)) for path in stream.shards]
        parts = (stream.seed, stream.rank, stream.world_size, self.block_length, cutting, shards)
        return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()[:16]


class _Places:
    """Where blocks start in a stream; a journal keeps them for later runs."""

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
        """Keep where a block starts."""
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
