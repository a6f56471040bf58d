import math

import numpy as np
import pytest
import torch

from audiocodec.adaptation.registry.delta import apply, count_changed, difference, round_changes
from audiocodec.errors import RegistryError


def arrays(codebooks):
    return {name: codebook.numpy() for name, codebook in codebooks.items()}


def bits(array):
    return np.ascontiguousarray(array).tobytes()


def random(seed, rows=40, dim=8, scale=1.0):
    return scale * torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))


def reference_rounding(old, new):
    """The same rule, one entry at a time, in exact arithmetic as far as Python has it."""
    rounded = []
    for before, after in zip(old.tolist(), new.tolist(), strict=True):
        change = [b - a for a, b in zip(before, after, strict=True)]
        largest = max(map(abs, before))
        exponent = -120 if largest == 0 else math.frexp(largest)[1] - 20
        while max(map(abs, change)) >= 127.5 * 2.0**exponent:
            exponent += 1
        moved = [np.float32(a) + np.float32(round(d / 2.0**exponent) * 2.0**exponent) for a, d in
                 zip(before, change, strict=True)]  # fmt: skip
        rounded.append(moved)
    return torch.tensor(np.array(rounded, np.float32))


@pytest.mark.parametrize("size", [1e-7, 1e-5, 1e-2, 1.0, 1e4])
def test_rounding_follows_its_rule(size):
    old = random(0)
    new = old + random(1, scale=size)
    torch.testing.assert_close(
        round_changes({"a": old}, {"a": new})["a"], reference_rounding(old, new), rtol=0, atol=0
    )


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("size", [1e-9, 1e-6, 1e-3, 1.0, 1e5])
def test_rounding_twice_is_as_rounding_once(scale, size):
    old = random(0, scale=scale)
    once = round_changes({"a": old}, {"a": old + random(1, scale=size)})
    twice = round_changes({"a": old}, once)
    assert bits(once["a"].numpy()) == bits(twice["a"].numpy())


def test_rounded_changes_are_within_half_a_step():
    old = random(0, rows=1000)
    new = old + random(1, rows=1000, scale=0.2)
    rounded = round_changes({"a": old}, {"a": new})["a"]
    largest = (new - old).abs().amax(dim=1)
    assert ((rounded - new).abs().amax(dim=1) <= largest / 127 * 1.001).all()
    # Normal distribution, uniform error: some 40 dB.
    error_db = 10 * torch.log10((rounded - new).square().sum() / (new - old).square().sum())
    assert -45 < error_db < -37


def test_what_did_not_change_is_left_alone_to_the_last_bit():
    old = random(0)
    new = old.clone()
    new[3] += 1.0
    rounded = round_changes({"a": old}, {"a": new})["a"]
    keep = torch.arange(len(old)) != 3
    assert bits(rounded[keep].numpy()) == bits(old[keep].numpy())
    assert not torch.equal(rounded[3], old[3])


@pytest.mark.parametrize("kind", ["rounded", "exact", "both", "none", "zeros"])
def test_difference_and_apply_are_inverse(kind):
    old = {"a": random(0), "b": random(1)}
    new = {name: codebook.clone() for name, codebook in old.items()}
    if kind in ("rounded", "both"):
        new["a"] = round_changes(old, {"a": old["a"] + random(2, scale=0.1)})["a"]
    if kind in ("exact", "both"):
        new["b"][5:9] = random(3)[:4]
        new["a"][0] = random(4)[0]
    if kind == "zeros":
        new["a"][2, 3] = 0.0
        old["a"][2, 3] = -0.0
    changes = difference(arrays(old), arrays(new))
    again = apply(arrays(old), changes)
    assert {name: bits(array) for name, array in again.items()} == {
        name: bits(array) for name, array in arrays(new).items()
    }
    parts = {name.partition("/")[2] for name in changes}
    assert (
        parts
        == {
            "rounded": {"rows", "exponents", "steps"},
            "exact": {"new_rows", "new"},
            "both": {"rows", "exponents", "steps", "new_rows", "new"},
            "none": set(),
            "zeros": {"rows", "exponents", "steps"},
        }[kind]
    )


def test_rounded_entries_take_a_byte_a_number():
    old = {"a": random(0, rows=1024, dim=128)}
    new = old["a"].clone()
    new[:256] += random(1, rows=256, dim=128, scale=0.1)
    small = difference(arrays(old), arrays(round_changes(old, {"a": new})))
    assert sum(array.nbytes for array in small.values()) == 256 * (128 + 1 + 4)
    exact = difference(arrays(old), {"a": new.numpy()})
    assert sum(array.nbytes for array in exact.values()) >= 250 * 4 * 128


def test_other_shapes_are_kept_whole():
    old = {"a": random(0), "scale": torch.ones(8)}
    new = {"a": random(5, rows=50), "scale": torch.full((8,), 2.0), "more": torch.tensor(3.0)}
    assert round_changes(old, new)["a"] is new["a"]
    changes = difference(arrays(old), arrays(new))
    assert set(changes) == {"a", "scale", "more"}
    assert {name: bits(a) for name, a in apply(arrays(old), changes).items()} == {
        name: bits(a) for name, a in arrays(new).items()
    }
    assert count_changed(arrays(old), arrays(new)) == {"a": 50, "scale": 8, "more": 1}


@pytest.mark.parametrize(
    ("arrays_", "problem"),
    [
        ({"a/rows": np.array([1], np.uint32)}, "exponents"),
        ({"a/rows": np.array([1], np.int64)}, "a/rows"),
        ({"b/rows": np.array([1], np.uint32)}, "not there"),
        ({"a/new_rows": np.array([40], np.uint32), "a/new": np.zeros((1, 8), np.float32)}, "does not have"),
        ({"a/new_rows": np.array([4, 4], np.uint32), "a/new": np.zeros((2, 8), np.float32)}, "twice"),
        ({"a/new_rows": np.array([4], np.uint32), "a/new": np.zeros((1, 9), np.float32)}, "do not fit"),
        (
            {
                "a/rows": np.array([4], np.uint32),
                "a/exponents": np.zeros(1, np.int8),
                "a/steps": np.zeros((1, 3), np.int8),
            },
            "does not fit",
        ),
        ({"a/else": np.zeros(1, np.float32)}, "not a part"),
        ({"a": np.zeros(3, np.float64)}, "float32"),
    ],
)
def test_changes_that_do_not_fit_are_refused(arrays_, problem):
    with pytest.raises(RegistryError, match=problem):
        apply({"a": random(0).numpy()}, arrays_)
