"""What is drawn at a step follows from seed, rank and step: in any order, in threads, and after a restart."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest

from audiocodec.errors import InputError
from audiocodec.training.data.batch import step_rng
from audiocodec.training.data.config import DataConfig
from audiocodec.training.data.prefetch import Prefetcher
from audiocodec.training.data.shards import sampler as module
from audiocodec.training.data.shards.sampler import ShardSampler
from audiocodec.training.data.shards.stream import Cutting, SegmentStream

RATE, LENGTH = 16000, 1600  # of the shards in conftest.py
CONFIG = DataConfig(batch_size=4, shuffle_segments=18, level_probability=0.5)


def sampler(shards, cache=None, config=CONFIG, seed=0, rank=0, world_size=1):
    stream = SegmentStream(shards, Cutting(RATE, LENGTH, config.source_weights), seed, rank, world_size)
    return ShardSampler(stream, config, cache)


def draw(source, step):
    batch = source.draw(step_rng(7, step), step)
    return batch.wav.numpy(), batch.examples


def equal(one, other):
    return np.array_equal(one[0], other[0]) and one[1] == other[1]


@pytest.fixture
def drawn(shards):
    source = sampler(shards)
    return [draw(source, step) for step in range(40)]


def test_batches_are_segments_with_their_origin(shards, drawn):
    source = sampler(shards, config=DataConfig(batch_size=4, shuffle_segments=18, level_probability=0.0))
    assert (source.batches_per_block, source.block_length) == (5, 20)
    for step in range(40):
        wav, examples = draw(source, step)
        assert wav.shape == (4, 1, LENGTH)
        assert wav.dtype == np.float32
        for segment, example in zip(wav[:, 0], examples, strict=True):
            place = round(float(segment[0]) * 32767 / 16)
            assert example.path.endswith(f"/rec{place // 32:03}")
            assert example.speaker == f"s{place // 32}"
            assert place % 32 == example.start // LENGTH
        assert examples == drawn[step][1]


def test_a_block_is_shuffled_and_nothing_is_drawn_twice(shards, drawn):
    stream = SegmentStream(shards, Cutting(RATE, LENGTH, {}), 0)
    cuts = stream.cuts()
    for block in range(8):
        order = [(cut.path, cut.start) for cut in islice(cuts, 20)]
        found = [(e.path, e.start) for step in range(5) for e in drawn[5 * block + step][1]]
        assert sorted(found) == sorted(order)
        assert found != order


@pytest.mark.parametrize("step", [0, 3, 4, 5, 17, 39])
@pytest.mark.parametrize("cached", [True, False])
def test_any_step_is_found_again(shards, drawn, tmp_path, step, cached):
    cache = tmp_path / "cache" if cached else None
    if cached:
        before = sampler(shards, cache)
        for number in range(40):
            draw(before, number)
    after = sampler(shards, cache)
    for number in range(step, 40):
        assert equal(draw(after, number), drawn[number])


def test_a_known_step_reads_no_more_than_its_block(shards, tmp_path, monkeypatch):
    before = sampler(shards, tmp_path)
    for number in range(40):
        draw(before, number)
    read = []
    real = SegmentStream._cut
    monkeypatch.setattr(SegmentStream, "_cut", lambda *args: (read.append(1), real(*args))[1])
    draw(sampler(shards, tmp_path), 35)
    assert len(read) <= 20 + 4


def test_steps_in_any_order(shards, drawn):
    source = sampler(shards)
    for step in [7, 6, 12, 3, 39, 0, 1, 2, 20, 19, 21]:
        assert equal(draw(source, step), drawn[step])


def test_threads_and_prefetching_change_nothing(shards, drawn):
    source = sampler(shards)
    with Prefetcher(lambda step: draw(source, step), 2, depth=6, workers=4) as batches:
        assert all(equal(next(batches), drawn[step]) for step in range(2, 30))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda step: draw(source, step), range(40)))
    assert all(equal(one, other) for one, other in zip(found, drawn, strict=True))
    assert threading.active_count() < 20


def test_without_a_step_the_next_is_drawn(shards, drawn):
    source = sampler(shards)
    assert equal(draw(source, 8), drawn[8])
    assert source.draw(step_rng(7, 9)).examples == drawn[9][1]
    assert np.array_equal(source.batch(step_rng(7, 10)).numpy(), drawn[10][0])


def test_ranks_and_seeds_draw_differently(shards, drawn):
    for options in ({"seed": 1}, {"rank": 0, "world_size": 2}, {"rank": 1, "world_size": 2}):
        source = sampler(shards, **options)
        assert not all(equal(draw(source, step), drawn[step]) for step in range(40))
    ranks = [sampler(shards, rank=rank, world_size=2) for rank in range(2)]
    first = [{e.path for step in range(3) for e in draw(source, step)[1]} for source in ranks]
    assert not first[0] & first[1]


def test_a_damaged_note_of_places_costs_time_and_nothing_else(shards, drawn, tmp_path):
    before = sampler(shards, tmp_path)
    for number in range(40):
        draw(before, number)
    (path,) = tmp_path.glob("*.blocks.jsonl")
    assert len([line for line in path.read_text().splitlines() if line]) == 8
    path.write_text(
        "\n".join(['{"a": 1}', "[1, 2]", "[3, -1, 0, 0]", "x", "7", path.read_text()[:70], "[6, 0"])
    )
    after = sampler(shards, tmp_path)
    assert all(equal(draw(after, number), drawn[number]) for number in (38, 39))


def test_other_shards_have_other_places(shards, tmp_path):
    names = set()
    for options in ({}, {"seed": 1}, {"rank": 1, "world_size": 2}, {"config": DataConfig(batch_size=2)}):
        draw(sampler(shards, tmp_path, **options), 0)
        names |= {path.name for path in tmp_path.glob("*.blocks.jsonl")}
    draw(sampler(shards[:3], tmp_path), 0)
    assert len(names | {path.name for path in tmp_path.glob("*.blocks.jsonl")}) == 5


def test_a_shard_rewritten_in_place_has_other_places(tmp_path, shards):
    """Of the same size: its recordings are in another order."""
    for number in range(11):
        draw(sampler(shards, tmp_path), number)
    (known,) = tmp_path.glob("*.blocks.jsonl")
    size = shards[1].stat().st_size
    content = shards[1].read_bytes()
    shards[1].write_bytes(content.replace(b"rec00", b"ref00"))
    assert shards[1].stat().st_size == size
    draw(sampler(shards, tmp_path), 0)
    assert {path.name for path in tmp_path.glob("*.blocks.jsonl")} > {known.name}


def test_places_are_plain_numbers(shards, tmp_path):
    source = sampler(shards, tmp_path)
    for number in range(11):
        draw(source, number)
    (path,) = tmp_path.glob("*.blocks.jsonl")
    places = [json.loads(line) for line in path.read_text().splitlines() if line]
    assert [place[0] for place in places] == [1, 2, 3]
    assert all(len(place) == 4 for place in places)


def test_a_corrupt_file_in_mid_epoch_is_counted_and_named(shards, tar):
    made = tar([("bad.flac", b"no sound")])
    source = sampler([*shards, made])
    assert (dict(source.skipped), source.skips) == ({}, 0)
    for step in range(60):
        draw(source, step)
    assert list(source.skipped) == [f"{made}/bad"]
    assert source.skips >= 1


def test_a_cache_that_cannot_be_written(shards, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"data\.cache"):
        sampler(shards, tmp_path / "file" / "cache")


def test_few_blocks_are_kept(shards):
    source = sampler(shards)
    for step in range(40):
        draw(source, step)
        assert len(source._ready) <= module.KEPT_BLOCKS
