import numpy as np
import pytest

from audiocodec.errors import InputError
from tools.studies.two_sample import classifier_test


def vectors(seed, count=600, dim=20):
    return np.random.default_rng(seed).standard_normal((count, dim))


def test_equal_distributions_are_not_told_apart():
    found = [classifier_test(vectors(2 * i), vectors(2 * i + 1), np.random.default_rng(i)) for i in range(10)]
    assert np.mean([test.accuracy for test in found]) == pytest.approx(0.5, abs=0.03)
    assert sum(test.p_value < 0.05 for test in found) <= 2


@pytest.mark.parametrize("change", [lambda v: v + 0.25, lambda v: v * np.where(np.arange(20) < 10, 1.6, 1.0)])
def test_means_and_variances_give_themselves_away(change):
    test = classifier_test(vectors(0), change(vectors(1)), np.random.default_rng(0))
    assert test.accuracy > 0.6
    assert test.p_value < 1e-4
    assert test.held_out == 600


def test_sides_count_alike_and_need_enough():
    test = classifier_test(vectors(0, 3000), vectors(1, 200), np.random.default_rng(0))
    assert test.held_out == 200
    with pytest.raises(InputError, match="99 vectors"):
        classifier_test(vectors(0, 99), vectors(1), np.random.default_rng(0))
