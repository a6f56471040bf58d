"""The endless stream of segments that one rank cuts out of the shards, from any place on."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiocodec.corpus.shards import Packed, decode_packed, read_shard
from audiocodec.errors import InputError
from audiocodec.training.data.decoding import in_order, to_int16
from audiocodec.training.data.sampler import say_without_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_ORDER, _CUTS = 2**31 + 1, 2**31 + 2
"""Keep the randomness of the order of shards, that of the cuts and that of steps, which are fewer, apart."""
MAX_NAMED = 100
"""Recordings that could not be used are all counted; so many are named, each once."""

logger = logging.getLogger(__name__)


class Cursor(NamedTuple):
    """A place in a rank's stream: shards before it, recordings of the next one, segments of the next one."""

    shard: int = 0
    recording: int = 0
    segment: int = 0


@dataclass(frozen=True)
class Cut:
    """A segment in memory: 16-bit samples [L], where they come from, and the place in the stream after it."""

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
        weights: how many times as often a source is drawn as its share of the hours.
        jobs: threads that decode.
    """

    sample_rate: int
    segment_length: int
    weights: Mapping[str, float]
    jobs: int = 1


class SegmentStream:
    """Segments in the order of the shards, which is drawn anew for each pass over them.

    Of all shards one after the other, pass after pass, rank r of R takes every R-th from the r-th on: no two
    ranks read the same one at a time. A recording gives as many segments as fit into it, rounded at random,
    so that long and short ones count by their length; they start at random, spread over it.

    Attributes:
        skipped: reason for recordings that could not be used, by name.
        skips: how many there were, each counted as often as it was met.
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
        self._unmet: set[str] = {*cutting.weights}

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
            # A shard of which nothing came, though it was read from its start.
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
        decoded = in_order(lambda one: (*one, self._decoded(one[1])), numbered, self.cutting.jobs)
        for recording, item, wav in decoded:
            self._unmet.discard(item.source)
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
        if len(self._read) == len(self.shards):  # all there is was seen
            say_without_source(self._unmet)
            self._unmet = set()

    def _starts(self, length: int, source: str, rng: np.random.Generator) -> list[int]:
        """Where the segments of a recording start: as many as its length and weight make, spread over it."""
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

    def _decoded(self, item: Packed) -> NDArray[np.int16] | str:
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
    """Numbers of the shards in the order of one pass over them; the same on all ranks."""
    return np.random.default_rng((seed, _ORDER, turn)).permutation(count)
