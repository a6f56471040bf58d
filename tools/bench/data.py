"""Measure how fast training data is read: decoded to the cache, drawn from it, and drawn from tar shards.

Usage: python tools/bench/data.py --data MANIFEST|DIR [--hours 0.5] [--jobs 1,2] [--batches 200]

All numbers are seconds of sound for a second: of the clock ("x wall"), and of processor time, all threads
together ("x CPU"), which hardly depends on what else the machine does. Shards are read, decoded and shuffled
while batches are drawn; the block that a run starts with is read before the clock starts.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from audiocodec import audio
from audiocodec.corpus.finding import find_recordings
from audiocodec.corpus.manifest import Recording
from audiocodec.training.data.config import DataConfig
from audiocodec.training.data.prefetch import Prefetcher
from audiocodec.training.data.sampler import Batch, Sampler, SegmentSampler, step_rng
from audiocodec.training.data.shard_sampler import Cutting, SegmentStream, ShardSampler
from audiocodec.training.data.store import SampleStore

RATE = 16000
SHARD_RECORDINGS = 100


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of processor time, that `work` takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def pick(recordings: Sequence[Recording], hours: float) -> tuple[list[Recording], float]:
    """Evenly spread recordings until `hours` are together, and their seconds."""
    speech = [one for one in recordings if one.kind == "speech" and one.split == "train"]
    step = max(1, int(sum(audio.info(one.path).seconds for one in speech) / 3600 / hours))
    picked = speech[::step]
    return picked, sum(audio.info(one.path).seconds for one in picked)


def write_shards(folder: Path, recordings: Sequence[Recording]) -> list[Path]:
    """The files as they are, in tar shards of SHARD_RECORDINGS."""
    paths: list[Path] = []
    for first in range(0, len(recordings), SHARD_RECORDINGS):
        paths.append(folder / f"train-{len(paths):06}.tar")
        with tarfile.open(paths[-1], "w") as file:
            for number, one in enumerate(recordings[first : first + SHARD_RECORDINGS], first):
                file.add(one.path, f"{number:08}{one.path.suffix}")
    return paths


def draw_all(sampler: Sampler, batches: int, workers: int) -> None:
    """Draw so many batches in the background, four ahead."""

    def make(step: int) -> Batch:
        return sampler.draw(step_rng(0, step), step)

    with Prefetcher(make, 0, 4, workers) as source:
        for _ in islice(source, batches):
            pass


def measure(arguments: argparse.Namespace, folder: Path) -> Table:
    """All rows of the table."""
    table = Table("what", "threads", "seconds of sound", "x wall", "x CPU", box=None)
    picked, seconds = pick(find_recordings(arguments.data, arguments.corpus), arguments.hours)
    config = DataConfig()
    length = round(config.segment_seconds * RATE)
    drawn = arguments.batches * config.batch_size * config.segment_seconds

    def row(what: str, jobs: int, sound: float, work: Callable[[], object]) -> None:
        wall, cpu = timed(work)
        cells = (what, f"{jobs}", f"{sound:.0f}", f"{sound / wall:.0f}", f"{sound / cpu:.0f}")
        table.add_row(*cells)

    for jobs in arguments.jobs:
        cache = folder / f"cache{jobs}"
        row(
            "decode to the cache", jobs, seconds, lambda c=cache, j=jobs: SampleStore(picked, RATE, c, jobs=j)
        )
    store = SampleStore(picked, RATE, folder / f"cache{arguments.jobs[0]}")
    shards = write_shards(folder, picked)
    for jobs in arguments.jobs:
        sampler = SegmentSampler(store, config, length)
        row("draw from the cache", jobs, drawn, lambda s=sampler, j=jobs: draw_all(s, arguments.batches, j))
        stream = SegmentStream(shards, Cutting(RATE, length, {}, jobs), 0)
        streamed = ShardSampler(stream, config)
        streamed.draw(step_rng(0, 0), 0)
        row("draw from shards", jobs, drawn, lambda s=streamed, j=jobs: draw_all(s, arguments.batches, j))
    return table


def main() -> None:
    """Read the options, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", required=True, help="as data.manifest")
    parser.add_argument("--corpus", default="", help="as data.corpus")
    parser.add_argument("--hours", type=float, default=0.5, help="of sound to decode")
    parser.add_argument("--batches", type=int, default=200, help="of 8 segments of 2 s to draw")
    parser.add_argument("--jobs", default="1,2", type=lambda text: [int(part) for part in text.split(",")])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audiocodec-") as folder:
        Console().print(measure(arguments, Path(folder)))


if __name__ == "__main__":
    main()
