import numpy as np
import pytest

from audiocodec.errors import MetricError
from audiocodec.metrics import (
    entropy,
    perplexity,
    quantization_error,
    stage_perplexity,
    stage_usage,
    token_flip_rate,
    usage,
)


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


def test_stages_are_counted_apart():
    codes = np.stack([np.arange(64) % 4, np.zeros(64, int)])  # [N, T]
    batch = np.stack([codes, codes])  # [B, N, T]
    for given in (codes, batch):
        assert stage_usage(given, (8, 4)) == (0.5, 0.25)
        assert stage_perplexity(given, (8, 4)) == pytest.approx((4.0, 1.0))


@pytest.mark.parametrize("metric", [stage_usage, stage_perplexity])
def test_stages_must_be_those_of_the_codes(metric):
    with pytest.raises(MetricError, match="N = 3"):
        metric(np.zeros((2, 5), int), (4, 4, 4))
    with pytest.raises(MetricError, match="outside a codebook of 4"):
        metric(np.array([[0, 1], [0, 9]]), (4, 4))


def test_token_flip_rate_counts_places():
    codes = np.arange(40).reshape(2, 20)
    other = codes.copy()
    other[0, :5] = -1
    assert token_flip_rate(codes, codes) == 0
    assert token_flip_rate(codes, other) == 5 / 40
    assert token_flip_rate(codes, other[:, :19]) == 5 / 38  # one frame may be missing


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (np.zeros((3, 20), int), "not of the same audio"),
        (np.zeros((2, 18), int), "not of the same audio"),
        (np.zeros((2, 0), int), "no codes"),
    ],
)
def test_codes_that_cannot_be_compared(other, words):
    with pytest.raises(MetricError, match=words):
        token_flip_rate(np.zeros((2, 20), int), other)


def test_quantization_error_of_a_uniform_quantizer():
    # Rounding uniform values to a step s loses s^2 / 12 of their variance w^2 / 12.
    latents = np.random.default_rng(0).uniform(0, 10, (2, 4, 5000)) + np.arange(4)[:, None] * 100
    error = quantization_error(latents, np.round(latents))
    assert error == pytest.approx(1 / 10**2, rel=0.02)
    assert quantization_error(latents, latents) == 0
    means = np.broadcast_to(latents.mean(axis=(0, 2), keepdims=True), latents.shape)
    assert quantization_error(latents, means) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("latents", "quantized", "words"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), "give both"),
        (np.zeros((2, 3)), np.zeros((2, 3)), "never change"),
        (np.full((2, 3), np.nan), np.zeros((2, 3)), "not finite"),
    ],
)
def test_latents_that_cannot_be_compared(latents, quantized, words):
    with pytest.raises(MetricError, match=words):
        quantization_error(latents, quantized)
