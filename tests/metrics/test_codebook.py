import numpy as np
import pytest

from audiocodec.errors import MetricError
from audiocodec.metrics import entropy, perplexity, usage


def test_even_use_of_a_part():
    indices = np.arange(800).reshape(2, 400) % 8
    assert entropy(indices, 16) == pytest.approx(3.0)
    assert perplexity(indices, 16) == pytest.approx(8.0)
    assert usage(indices, 16) == 0.5


def test_one_entry():
    assert entropy(np.full(10, 3), 4) == 0
    assert perplexity(np.full(10, 3), 4) == 1
    assert usage(np.full(10, 3), 4) == 0.25


def test_uneven_use():
    indices = np.array([0] * 8 + [1] * 4 + [2] * 2 + [3] * 2)
    assert entropy(indices, 4) == pytest.approx(1.75)


@pytest.mark.parametrize("metric", [entropy, perplexity, usage])
def test_impossible_indices(metric):
    with pytest.raises(MetricError, match="from -1 to 4 lie outside a codebook of 4"):
        metric(np.array([-1, 4]), 4)
    with pytest.raises(MetricError, match="no indices"):
        metric(np.array([], int), 4)
