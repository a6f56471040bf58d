import numpy as np
import pytest

from audiocodec.adaptation.drift import Measures, NullDistribution
from audiocodec.adaptation.drift.null import suspicion, tail
from audiocodec.errors import InputError


def falling(lengths, windows=4000):
    """A measure whose mean and spread fall with the root of the length, as most do."""
    rng = np.random.default_rng(0)
    rows = [(5 + rng.standard_normal((windows, 1))) / np.sqrt(length) for length in lengths]
    return NullDistribution(tuple(lengths), {"js": np.array(rows, np.float32)})


def test_p_values_are_uniform_without_drift():
    null, rng = falling([100]), np.random.default_rng(1)
    values = (5 + rng.standard_normal(2000)) / 10
    found = [null.p_value("js", Measures({"js": np.array([value])}, 100)) for value in values]
    for level in (0.01, 0.05, 0.2):
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=0.03)


def test_between_lengths_median_and_spread_are_interpolated():
    null = falling([100, 400])
    drawn = null.at("js", 200, 1)[:, 0]
    assert np.median(drawn) == pytest.approx((5 / 10 + 5 / 20) / 2, rel=0.01)
    assert drawn.std() == pytest.approx((1 / 10 + 1 / 20) / 2, rel=0.05)
    assert np.array_equal(null.at("js", 50, 1), null.at("js", 100, 1))
    assert np.array_equal(null.at("js", 9999, 1), null.at("js", 400, 1))


def test_tails():
    samples = np.arange(99.0)
    assert tail("js", 1000, samples) == pytest.approx(0.01)
    assert tail("js", -1, samples) == 1
    assert tail("entropy", -1000, samples) == pytest.approx(0.02)
    assert tail("entropy", 49, samples) == 1
    assert (
        suspicion("js", np.array([-100.0]), samples)[0]
        < 0
        < suspicion("entropy", np.array([-100.0]), samples)[0]
    )


def test_too_little_audio_says_how_much_is_needed():
    with pytest.raises(InputError, match=r"too little audio: 1\.0 s, at least 2 s"):
        falling([100]).check_frames(50, 50.0)


def test_overall_over_the_first_stages():
    rows = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    null = NullDistribution((10,), {"js": rows, "error": rows})
    assert null.overall_at("js", 10, 2).tolist() == [0.5, 4.5, 8.5]  # the mean
    assert null.overall_at("error", 10, 2).tolist() == [1, 5, 9]  # the last
