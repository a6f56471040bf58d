import numpy as np
import pytest

from audiocodec.adaptation.statistics import Reservoir
from audiocodec.errors import InputError


def numbered(start, stop):
    return np.arange(start, stop, dtype=np.float32)[:, None]


def test_every_vector_is_as_likely_to_stay():
    rng = np.random.default_rng(0)
    kept = np.zeros(100)
    for _ in range(400):
        sample = Reservoir.empty(1, 20)
        for start in range(0, 100, 25):
            sample = sample.offer(numbered(start, start + 25), rng)
        assert len(sample.vectors) == 20
        assert sample.seen == 100
        kept[sample.vectors[:, 0].astype(int)] += 1
    assert np.abs(kept / 400 - 0.2).max() < 0.08  # 4 standard deviations of a share of 400


def test_weights_decide_how_likely():
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(300):
        light, heavy = (
            Reservoir.empty(1, 30).offer(numbered(start, start + 100), rng, weight)
            for start, weight in ((0, 1.0), (100, 3.0))
        )
        shares.append(((light + heavy).vectors >= 100).mean())
    assert np.mean(shares) == pytest.approx(0.74, abs=0.02)  # a little under 3/4: heavy ones run out first


def test_joining_is_what_one_reservoir_would_hold():
    parts = [Reservoir.empty(1, 10).offer(numbered(i, i + 40), np.random.default_rng(i)) for i in (0, 40, 80)]
    a, b, c = parts
    first, second = (a + b) + c, c + (b + a)
    assert np.array_equal(first.vectors, second.vectors)
    smallest = np.sort(np.concatenate([part.keys for part in parts]))[:10]
    assert np.array_equal(first.keys, smallest)
    assert first.seen == 120


def test_the_smaller_capacity_counts_and_widths_must_agree():
    large = Reservoir.empty(1, 50).offer(numbered(0, 50), np.random.default_rng(0))
    assert len((large + Reservoir.empty(1, 8)).vectors) == 8
    with pytest.raises(InputError, match="width 1 and 2"):
        large + Reservoir.empty(2, 50)
