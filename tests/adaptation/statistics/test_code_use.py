import numpy as np
import pytest

from audiocodec.adaptation.statistics import CodeUse
from audiocodec.adaptation.statistics.code_use import BIGRAM_BUCKETS, bigram_buckets
from audiocodec.metrics import codebook


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
