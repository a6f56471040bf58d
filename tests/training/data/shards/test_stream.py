from itertools import islice

import numpy as np
import pytest

from audiocodec.errors import InputError
from audiocodec.training.data.shards.stream import Cursor, Cutting, SegmentStream

RATE, LENGTH = 16000, 1600  # of the shards in conftest.py


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
