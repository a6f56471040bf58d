import numpy as np
import pytest

from audiocodec.adaptation.statistics import CodeUse, ErrorStatistics, Moments, Reservoir
from audiocodec.adaptation.statistics.accumulators import BIGRAM_BUCKETS, BINS, LOWEST_DB, bigram_buckets
from audiocodec.errors import InputError
from audiocodec.metrics import codebook


def test_they_are_mean_and_covariance():
    vectors = np.random.default_rng(0).standard_normal((500, 6)) @ np.diag(np.arange(1.0, 7.0)) + 3
    moments = Moments.of(vectors)
    assert moments.mean == pytest.approx(vectors.mean(axis=0))
    assert moments.covariance == pytest.approx(np.cov(vectors.T, bias=True))
    assert moments.variance == pytest.approx(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).mean())


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_parts_add_up_to_the_whole_in_any_order(offset):
    vectors = np.random.default_rng(1).standard_normal((300, 4)) + offset
    a, b, c = (Moments.of(part) for part in (vectors[:7], vectors[7:100], vectors[100:]))
    whole = Moments.of(vectors)
    for joined in ((a + b) + c, a + (b + c), c + a + b):
        assert joined.count == 300
        assert joined.mean == pytest.approx(whole.mean, rel=1e-14)
        assert joined.scatter == pytest.approx(
            whole.scatter, rel=1e-7 if offset else 1e-12, abs=1e-3 * bool(offset)
        )


def test_nothing_changes_nothing():
    some = Moments.of(np.random.default_rng(2).standard_normal((9, 3)))
    for joined in (some + Moments.empty(3), Moments.empty(3) + some):
        assert np.array_equal(joined.mean, some.mean)
        assert joined.scatter == pytest.approx(some.scatter)
    assert (Moments.empty(3) + Moments.empty(3)).count == 0
    assert Moments.of(np.zeros((0, 3))).variance == 0


def test_widths_must_agree():
    with pytest.raises(InputError, match="width 3 and 4"):
        Moments.empty(3) + Moments.empty(4)


def use_of(codes, size=64):
    empty = np.zeros(BIGRAM_BUCKETS, np.int64)
    return CodeUse(np.bincount(codes, minlength=size), empty, 0)


def test_entropy_perplexity_and_usage_are_those_of_the_metrics():
    codes = np.random.default_rng(0).geometric(0.1, 500).clip(max=63)
    use = use_of(codes)
    assert use.entropy == pytest.approx(codebook.entropy(codes, 64))
    assert use.perplexity == pytest.approx(codebook.perplexity(codes, 64))
    assert use.usage == pytest.approx(codebook.usage(codes, 64))
    assert use.frames == 500


def test_nothing_has_no_entropy():
    use = CodeUse.empty(16)
    assert (use.entropy, use.perplexity, use.usage, use.repeat_rate) == (0, 1, 0, 0)


def test_pairs_are_told_apart_and_spread_evenly():
    before, after = (grid.ravel() for grid in np.mgrid[0:256, 0:256])
    buckets = bigram_buckets(before, after)
    counts = np.bincount(buckets, minlength=BIGRAM_BUCKETS)
    assert counts.min() > 0.3 * counts.mean()
    assert counts.max() < 2 * counts.mean()
    assert (buckets != bigram_buckets(after, before)).mean() > 0.95


def test_buckets_never_change():
    """Baselines on disk count by them."""
    assert bigram_buckets(np.array([0, 1, 1023]), np.array([0, 1023, 7])).tolist() == [1011, 702, 893]


def test_sums_of_errors():
    errors = 10 ** (np.random.default_rng(0).uniform(-30, 10, 4000) / 10)
    found = ErrorStatistics.of(errors)
    assert found.mean == pytest.approx(errors.mean())
    assert found.squares == pytest.approx((errors**2).sum())


def test_parts_add_up():
    errors = np.random.default_rng(1).exponential(size=100)
    joined = ErrorStatistics.of(errors[:30]) + ErrorStatistics.of(errors[30:])
    assert joined.count == 100
    assert joined.mean == pytest.approx(errors.mean())
    assert np.array_equal(joined.histogram, ErrorStatistics.of(errors).histogram)


def test_what_lies_beyond_the_ends_is_counted_there():
    histogram = ErrorStatistics.of(np.array([0.0, 1e-20, 1e20, 10 ** ((LOWEST_DB + 0.5) / 10)])).histogram
    assert (histogram[0], histogram[-1], histogram.sum()) == (3, 1, 4)
    assert len(histogram) == BINS
    assert ErrorStatistics.empty().mean == 0


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
