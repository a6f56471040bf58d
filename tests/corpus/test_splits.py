from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from audiocodec.corpus import Recording
from audiocodec.corpus.splits import complete_splits, speakers_across, split_by_hash, split_named
from audiocodec.errors import InputError


def names(count):
    return [f"corpus/speaker{n}" for n in range(count)]


@pytest.mark.parametrize(("valid", "test"), [(0.05, 0.05), (0.2, 0.0), (0.0, 0.3)])
def test_shares_are_held_out(valid, test):
    found = list(split_by_hash(names(4000), valid, test).values())
    for split, share in (("valid", valid), ("test", test)):
        assert abs(found.count(split) / 4000 - share) <= 5 * (share * (1 - share) / 4000) ** 0.5


def test_a_speaker_stays_where_it_is_when_others_come():
    for few, more in pairwise(split_by_hash(names(count), 0.1, 0.1) for count in (200, 300, 1000)):
        assert all(more[name] == few[name] for name in few)


def test_is_the_same_for_ever():
    """A change of the hash would move held-out speakers of published models into training."""
    found = split_by_hash(names(60), 0.05, 0.05)
    assert {name.removeprefix("corpus/speaker") for name in found if found[name] == "valid"} == VALID
    assert {name.removeprefix("corpus/speaker") for name in found if found[name] == "test"} == TEST


VALID = {"30", "35"}
TEST = {"52"}


@pytest.mark.parametrize("count", [3, 4, 10])
def test_small_corpora_hold_someone_out(count):
    found = list(split_by_hash(names(count), 0.05, 0.05).values())
    assert found.count("valid") >= 1
    assert found.count("test") >= 1
    assert found.count("train") >= count - 3


def test_one_speaker_is_trained_on():
    for name in names(50):
        assert split_by_hash([name], 0.3, 0.3) == {name: "train"}
    assert split_by_hash(["x"], 0.0, 0.0) == {"x": "train"}
    assert split_by_hash([], 0.1, 0.1) == {}


@pytest.mark.parametrize("shares", [(-0.1, 0.1), (0.5, 0.5), (0.1, 2.0)])
def test_shares_out_of_range(shares):
    with pytest.raises(InputError, match="together below 1"):
        split_by_hash(["a"], *shares)


def test_names_of_splits():
    found = [split_named(name) for name in ("train", "Dev", "EVAL", "validation", "dev-clean")]
    assert found == ["train", "valid", "test", "valid", None]


def recording(path, speaker="", split="", source="c"):
    return Recording(path, Path(path), speaker=speaker, split=split, source=source)


def test_speakers_across_splits():
    recordings = [
        recording("1", "1", "train", "a"),
        recording("2", "1", "test", "a"),
        recording("3", "1", "valid", "b"),
        recording("4", "", "train", "a"),
        recording("5", "", "test", "a"),
    ]
    assert speakers_across(recordings) == {"a/1": ["test", "train"]}


def moved(recordings):
    return [replace(one, path=Path(f"/elsewhere{one.path}")) for one in recordings]


def test_no_speaker_crosses_splits():
    rows = [recording(f"/d/{speaker}/{n}.wav", str(speaker)) for speaker in range(40) for n in range(5)]
    found = complete_splits(rows, 0.1, 0.1)
    splits = {}
    for one in found:
        splits.setdefault(one.speaker, set()).add(one.split)
    assert all(len(one) == 1 for one in splits.values())
    assert {next(iter(one)) for one in splits.values()} == {"train", "valid", "test"}
    assert [one.split for one in complete_splits(moved(rows), 0.1, 0.1)] == [one.split for one in found]


def test_files_of_unknown_speakers_are_drawn_one_by_one():
    rows = [recording(f"/d/x/{n}.wav") for n in range(400)]
    found = [one.split for one in complete_splits(rows, 0.1, 0.1)]
    assert 15 <= found.count("valid") <= 70
    assert [one.split for one in complete_splits(moved(rows), 0.1, 0.1)] == found


def test_splits_that_are_named_stay():
    rows = [
        recording("/d/1.wav", "a", "test"),
        recording("/d/2.wav", "a"),
        recording("/d/3.wav", "b", "train"),
    ]
    for shares in ((0.5, 0.4), (0.0, 0.0)):
        assert [one.split for one in complete_splits(rows, *shares)] == ["test", "test", "train"]
