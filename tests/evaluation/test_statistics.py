import numpy as np
import pytest
from scipy import stats
from scipy.interpolate import PchipInterpolator

from audiocodec.evaluation.statistics import (
    ALWAYS,
    NEVER,
    Resampling,
    _integral,
    bitrate_change,
    crossing,
    limits,
)

TEN = [f"s{number}" for number in range(10)]


def test_speakers_with_equal_numbers_of_files_are_a_bootstrap_of_their_means():
    rng = np.random.default_rng(1)
    of_speakers = rng.standard_normal(30)
    values = of_speakers[:, None] + 0.1 * rng.standard_normal((30, 4))
    names = [f"s{speaker}" for speaker in range(30) for _ in range(4)]
    resampling = Resampling(names, 20_000)
    found = resampling.estimate(values.ravel(), resampling.numbers(names))
    reference = stats.bootstrap(
        (values.mean(axis=1),), np.mean, n_resamples=20_000, method="percentile", rng=rng
    ).confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == (
        pytest.approx(reference.low, abs=0.01),
        pytest.approx(reference.high, abs=0.01),
    )
    assert (found.n, found.speakers) == (120, 30)


def test_files_of_one_speaker_are_not_independent():
    values = np.repeat(np.arange(10.0), 50)
    names = np.repeat(TEN, 50)
    by_speaker, by_file = Resampling(names), Resampling(np.arange(500).astype(str))
    wide = by_speaker.estimate(values, by_speaker.numbers(names))
    narrow = by_file.estimate(values, np.arange(500))
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_the_intervals_hold_what_they_promise():
    rng = np.random.default_rng(2)
    names = [f"s{number}" for number in range(40)]
    resampling = Resampling(names, 500)
    held = 0
    for _ in range(400):
        found = resampling.estimate(rng.exponential(size=40), np.arange(40))
        held += found.low <= 1 <= found.high
    assert 0.88 < held / 400 < 0.97  # a percentile interval of a skewed sample of 40 is a little narrow


def test_differences_on_the_same_speakers_are_surer_than_the_means():
    rng = np.random.default_rng(3)
    first = 10 * rng.standard_normal(10)
    second = first + 1 + 0.1 * rng.standard_normal(10)
    resampling = Resampling(TEN)
    numbers = resampling.numbers(TEN)
    draws = resampling.means(second, numbers) - resampling.means(first, numbers)
    low, high = limits(draws)
    paired = resampling.estimate(second - first, numbers)
    assert (low, high) == (pytest.approx(paired.low), pytest.approx(paired.high))
    assert 0.8 < low < high < 1.2


def test_missing_values_are_left_out_and_counted():
    resampling = Resampling(TEN)
    values = np.where(np.arange(10) < 7, 2.0, np.nan)
    found = resampling.estimate(values, resampling.numbers(TEN))
    assert (found.value, found.low, found.high, found.n, found.speakers) == (2.0, 2.0, 2.0, 7, 7)
    nothing = resampling.estimate(np.full(10, np.nan), resampling.numbers(TEN))
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()
    assert nothing.n == 0


def test_one_speaker_has_no_interval():
    resampling = Resampling(TEN)
    values = np.where(np.arange(10) == 4, 3.0, np.nan)
    found = resampling.estimate(values, resampling.numbers(TEN))
    assert found.value == 3.0
    assert np.isnan([found.low, found.high]).all()


def test_the_seed_decides():
    values, numbers = np.arange(10.0), np.arange(10)
    first, again, other = (Resampling(TEN, 100, seed).means(values, numbers) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first[0] == other[0] == 4.5
    assert (first[1:] != other[1:]).any()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((3.0, 2.5, 1.5, 1.0), 7.5),  # half way between 10 and 5
        ((3.0, 2.8, 2.4, 2.1), NEVER),
        ((1.9, 2.5, 2.5, 1.0), ALWAYS),
        ((3.0, 1.0, 2.5, 1.0), 15.0),  # the first time
        ((3.0, 2.0, 1.9, 1.0), 10.0),
        ((3.0, np.nan, 1.9, 1.0), np.nan),
    ],
)
def test_where_a_curve_falls(values, expected):
    snrs = (20.0, 10.0, 5.0, 0.0)
    found = crossing(snrs, np.array(values)[:, None], 2.0)
    np.testing.assert_allclose(found, [expected])
    order = [2, 0, 3, 1]
    mixed = crossing([snrs[at] for at in order], np.array(values)[order][:, None], 2.0)
    np.testing.assert_allclose(mixed, [expected])


def test_a_threshold_may_differ_by_draw_and_a_limit_may_be_infinite():
    values = np.tile([[3.0], [1.0]], 101)
    found = crossing((20.0, 0.0), values, np.linspace(1.0, 3.2, 101))
    assert found[0] == NEVER  # not below
    assert found[-1] == ALWAYS
    np.testing.assert_allclose(found[50], 20 * (2.1 - 1) / 2)
    low, high = limits(found)
    assert np.isfinite(low)
    assert high == ALWAYS


# The example of JCTVC-L1100; numbers of the package bjontegaard 1.3.0 with method="pchip".
ANCHOR = (np.array([9487.76, 4593.60, 2486.44, 1358.24]), np.array([40.037, 38.615, 36.845, 34.851]))
TEST = (np.array([9787.80, 4469.00, 2451.52, 1356.24]), np.array([40.121, 38.651, 36.970, 34.987]))
SPEECH = (np.array([6000.0, 9000.0, 12000.0]), np.array([1.7, 2.6, 3.4]))
OTHER = (np.array([1500.0, 3000.0, 6000.0]), np.array([1.8, 2.4, 2.9]))
LYRA = (np.array([3200.0, 6000.0, 9200.0]), np.array([2.0, 2.3, 2.5]))


@pytest.mark.parametrize(
    ("codec", "other", "percent"),
    [
        (TEST, ANCHOR, -4.417485350589045),
        (ANCHOR, TEST, 4.621645880307734),
        (SPEECH, OTHER, 180.56033882477806),
        (LYRA, OTHER, 116.27660799286174),
    ],
)
def test_bits_for_equal_quality_are_those_of_another_implementation(codec, other, percent):
    found = bitrate_change(*(array[:, None] for array in (*codec, *other)))
    assert found.percent == pytest.approx(percent, rel=1e-9)
    assert found.reason == ""
    shared = min(codec[1].max(), other[1].max()) - max(codec[1].min(), other[1].min())
    whole = max(codec[1].max(), other[1].max()) - min(codec[1].min(), other[1].min())
    assert found.overlap == pytest.approx(shared / whole)


@pytest.mark.parametrize("points", [2, 3, 5, 8])
def test_monotone_cubics_are_those_of_scipy(points):
    rng = np.random.default_rng(points)
    x = np.cumsum(rng.uniform(0.1, 2, (points, 50)), axis=0)
    y = np.cumsum(rng.uniform(-0.2, 1, (points, 50)), axis=0)  # not always rising
    low, high = x[0] + 0.2 * (x[-1] - x[0]), x[-1] - 0.1 * (x[-1] - x[0])
    found = _integral(x, y, low, high)
    expected = [
        PchipInterpolator(x[:, at], y[:, at]).integrate(low[at], high[at])
        if points > 2
        else np.interp((low[at] + high[at]) / 2, x[:, at], y[:, at]) * (high[at] - low[at])
        for at in range(50)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("quality", "other", "reason", "at_least", "at_most"),
    [
        ((1.0, 1.5), (2.0, 3.0), "its highest bitrate is worse", 100 * (4 / 3 - 1), np.nan),
        ((4.0, 4.2), (2.0, 3.0), "its lowest bitrate is better", np.nan, 100 * (2 / 9 - 1)),
        ((2.0, 2.0), (1.0, 3.0), "its quality does not rise", np.nan, np.nan),
        ((2.0, 2.5), (3.0, 1.0), "the other's quality does not rise", np.nan, np.nan),
        ((2.0, np.nan), (1.0, 3.0), "scores are missing at one of its bitrates", np.nan, np.nan),
        ((2.0,), (1.0, 3.0), "a curve needs two bitrates, and its has one", np.nan, np.nan),
    ],
)
def test_curves_that_cannot_be_compared_say_why(quality, other, reason, at_least, at_most):
    rates = np.array([2000.0, 4000.0])[: len(quality), None]
    found = bitrate_change(
        rates, np.array(quality)[:, None], np.array([[3000.0], [9000.0]]), np.array(other)[:, None]
    )
    assert np.isnan([found.percent, found.low, found.high]).all()
    assert found.reason.startswith(reason)
    np.testing.assert_allclose([found.at_least, found.at_most], [at_least, at_most])


def test_draws_that_cannot_be_compared_leave_no_interval():
    rates, other_rates = np.full((2, 11), [[1.0], [4.0]]), np.full((2, 11), [[2.0], [8.0]])
    quality = np.full((2, 11), [[1.0], [2.0]])
    found = bitrate_change(rates, quality, other_rates, quality.copy())
    assert (found.percent, found.low, found.high) == tuple(pytest.approx(-50) for _ in range(3))
    falling = quality.copy()
    falling[:, 5:7] = [[2.0], [1.0]]
    found = bitrate_change(rates, falling, other_rates, quality)
    assert found.percent == pytest.approx(-50)
    assert np.isnan([found.low, found.high]).all()
