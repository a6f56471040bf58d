import numpy as np
import pytest

from audiocodec.adaptation.statistics import Moments
from audiocodec.errors import InputError


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
