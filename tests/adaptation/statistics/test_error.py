import numpy as np
import pytest

from audiocodec.adaptation.statistics import ErrorStatistics
from audiocodec.adaptation.statistics.error import BINS, LOWEST_DB


def test_sums_and_quantiles():
    errors = 10 ** (np.random.default_rng(0).uniform(-30, 10, 4000) / 10)
    found = ErrorStatistics.of(errors)
    assert found.mean == pytest.approx(errors.mean())
    assert found.squares == pytest.approx((errors**2).sum())
    for share in (0.1, 0.5, 0.9):
        assert found.quantile(share) == pytest.approx(10 * np.log10(np.quantile(errors, share)), abs=0.6)


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
