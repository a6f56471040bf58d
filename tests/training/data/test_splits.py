from itertools import pairwise

import pytest

from audiocodec.errors import InputError
from audiocodec.training.data.splits import speakers_across, split_by_hash, split_named


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


def test_speakers_across_splits():
    rows = [
        ("a", "1", "train"),
        ("a", "1", "test"),
        ("b", "1", "valid"),
        ("a", "", "train"),
        ("a", "", "test"),
    ]
    assert speakers_across(rows) == {"a/1": ["test", "train"]}
