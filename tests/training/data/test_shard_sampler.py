"""What is drawn at a step follows from seed, rank and step: in any order, in threads, and after a restart."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest

from audiocodec.errors import InputError
from audiocodec.training.data import shard_sampler as module
from audiocodec.training.data.config import DataConfig
from audiocodec.training.data.prefetch import Prefetcher
from audiocodec.training.data.sampler import step_rng
from audiocodec.training.data.shard_sampler import Cursor, Cutting, SegmentStream, ShardSampler

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
    assert np.array_equal(source.draw(step_rng(7, 10)).wav.numpy(), drawn[10][0])


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


def stream(shards, seed=0, rank=0, world_size=1, **options):
    return SegmentStream(shards, Cutting(RATE, LENGTH, **({"weights": {}} | options)), seed, rank, world_size)


def told(cut):
    """Which recording a segment is of, by its samples, and its tenth of a second."""
    first = round(int(cut.samples[0]) / 16)
    return first // 32, first % 32


def pass_over(shards, **options):
    """The segments of the first pass, as ranks read it."""
    found = []
    for cut in stream(shards, **options).cuts():
        if cut.after.shard >= len(shards):
            return found
        found.append(cut)
    return found


def test_segments_are_what_they_say(shards):
    cuts = pass_over(shards)
    for cut in cuts:
        number, tenth = told(cut)
        assert cut.path.endswith(f"/rec{number:03}")
        assert (cut.speaker, cut.source) == (f"s{number}", "ab"[number % 2])
        assert tenth == cut.start // LENGTH
        assert cut.samples.shape == (LENGTH,)
    assert {told(cut)[0] for cut in cuts} == set(range(18))


def test_recordings_count_by_their_length(shards):
    counts = np.zeros(18)
    passes = 25
    for cut in stream(shards).cuts():
        if cut.after.shard >= passes * len(shards):
            break
        counts[told(cut)[0]] += 1
    expected = (0.35 + 0.1 * np.arange(18)) * RATE / LENGTH
    assert np.abs(counts / passes - expected).max() < 5 * 0.5 / passes**0.5  # rounding at random: at most 1/4


def test_starts_are_spread_over_the_recording(shards):
    starts = [cut.start for cut in islice(stream(shards).cuts(), 2500) if told(cut)[0] == 17]
    room = round(2.05 * RATE) - LENGTH
    found, _ = np.histogram(starts, 5, (0, room + 1))
    assert min(starts) >= 0
    assert max(starts) <= room
    assert (np.abs(found / len(starts) - 0.2) < 0.06).all()


def test_sources_are_weighted(shards):
    counts = {"a": 0, "b": 0}
    for cut in islice(stream(shards, weights={"a": 2.0, "b": 0.5}).cuts(), 3000):
        counts[cut.source] += 1
    a, b = (sum(0.35 + 0.1 * n for n in range(18) if n % 2 == k) for k in (0, 1))
    assert counts["a"] / 3000 == pytest.approx(2 * a / (2 * a + 0.5 * b), abs=0.03)


def test_a_weight_of_no_source_is_said_once_after_a_pass(shards, caplog):
    cuts = stream(shards, weights={"a": 2.0, "librispeech": 2.5}).cuts()
    next(cuts)
    assert caplog.text == ""
    list(islice(cuts, 2000))
    (record,) = caplog.records
    assert record.getMessage() == "data.source_weights: no recording is of source librispeech"


def same(one, other):
    return all(
        (a.path, a.start, a.after) == (b.path, b.start, b.after) and np.array_equal(a.samples, b.samples)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("jobs", [1, 3])
def test_goes_on_from_any_place(shards, jobs):
    whole = list(islice(stream(shards, jobs=jobs).cuts(), 400))
    for place in (0, 1, 57, 231):
        again = islice(stream(shards).cuts(whole[place].after), 400 - place - 1)
        assert same(again, whole[place + 1 :])


def test_seeds_and_passes_differ(shards):
    first, other = (list(islice(stream(shards, seed).cuts(), 300)) for seed in (0, 1))
    assert not same(first, other)
    by_pass = [[c.path for c in first if c.after.shard // 4 == turn] for turn in (0, 1)]
    assert list(dict.fromkeys(by_pass[0])) != list(dict.fromkeys(by_pass[1]))


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_ranks_share_the_shards_of_a_pass(shards, world_size):
    """In any 4 shards one after the other, whatever rank reads them, every shard is once."""
    read = {}
    for rank in range(world_size):
        for cut in islice(stream(shards, rank=rank, world_size=world_size).cuts(), 600):
            place = cut.after.shard * world_size + rank
            read.setdefault(place, set()).add(cut.path.rpartition("/")[0])
    assert all(len(names) == 1 for names in read.values())
    for turn in range(3):
        assert len(set.union(*(read[4 * turn + n] for n in range(4)))) == 4


def test_more_ranks_than_shards(shards):
    with pytest.raises(InputError, match="4 shards for 5 ranks"):
        stream(shards, world_size=5)


def test_bad_recordings_are_left_out_and_named(shards, tar):
    good = [c.path for c in pass_over(shards)]
    made = tar([("bad.flac", b"no sound"), ("worse.wav", b"")])
    found = stream([*shards, made])
    cuts = [cut for cut in islice(found.cuts(), 600) if cut.after.shard < 5]
    assert {cut.path for cut in cuts} == set(good)
    assert set(found.skipped) == {f"{made}/bad", f"{made}/worse"}
    assert found.skips >= 2
    assert same(islice(stream([*shards, made]).cuts(cuts[10].after), 50), cuts[11:61])


def test_only_bad_recordings(tar):
    with pytest.raises(InputError, match=r"none of 1 shards gives a segment: .*made\.tar/bad"):
        next(stream([tar([("bad.flac", b"no sound")])]).cuts())
    with pytest.raises(InputError, match="they hold no sound"):
        next(stream([tar([("text.txt", b"words")])]).cuts())


def test_a_shard_that_vanishes_stops_the_run(shards):
    cuts = stream(shards).cuts()
    next(cuts)
    for path in shards:
        path.unlink()
    with pytest.raises(InputError, match=r"train-00\d\.tar: cannot be read"):
        list(islice(cuts, 1000))


def test_the_start_is_the_first_place(shards):
    assert same(islice(stream(shards).cuts(Cursor(0, 0, 0)), 5), list(islice(stream(shards).cuts(), 5)))
