from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import wasserstein_distance

from audiocodec.adaptation.drift import (
    MEASURES,
    compare,
    gaussian_w2,
    jensen_shannon,
    kullback_leibler,
    population_stability,
    sliced_w2,
)
from audiocodec.adaptation.statistics import Moments, Reservoir, collect
from audiocodec.errors import InputError


def moments(seed, scale=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    return Moments.of(rng.standard_normal((400, 5)) @ (scale * rng.standard_normal((5, 5))) + shift)


def test_gaussian_w2_against_the_matrix_square_root():
    a, b = moments(0), moments(1, 2.0, 0.7)
    root = sqrtm(a.covariance)
    cross = np.trace(sqrtm(root @ b.covariance @ root)).real
    squared = ((a.mean - b.mean) ** 2).sum() + a.variance + b.variance - 2 * cross
    assert gaussian_w2(a, b) == pytest.approx(np.sqrt(squared / a.variance), rel=1e-9)


def test_gaussian_w2_of_what_it_knows_in_closed_form():
    a = moments(0)
    assert gaussian_w2(a, a) == pytest.approx(0, abs=1e-6)
    moved = Moments(a.count, a.mean + 0.3, a.scatter)
    assert gaussian_w2(a, moved) == pytest.approx(0.3 * np.sqrt(5 / a.variance), rel=1e-6)
    assert gaussian_w2(a, Moments(a.count, a.mean, 4 * a.scatter)) == pytest.approx(1.0, rel=1e-6)
    flat = Moments(a.count, a.mean, np.zeros((5, 5)))
    assert gaussian_w2(a, flat) == pytest.approx(1.0, rel=1e-6)


def sample(vectors):
    return Reservoir(vectors.astype(np.float32), np.zeros(len(vectors)), len(vectors), len(vectors))


def test_sliced_w2_of_a_shift_and_of_a_stretch():
    vectors = np.random.default_rng(0).standard_normal((20000, 3))
    shift = np.array([0.6, 0.0, 0.0])
    # The mean square of a direction's component is |shift|^2 / D.
    assert sliced_w2(sample(vectors), sample(vectors + shift)) == pytest.approx(0.6 / np.sqrt(3), rel=0.15)
    assert sliced_w2(sample(vectors), sample(2 * vectors)) == pytest.approx(1.0, rel=0.05)
    assert sliced_w2(sample(vectors[:10000]), sample(vectors[10000:])) < 0.03


def test_sliced_w2_in_one_dimension_bounds_the_distance_of_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(3000), rng.exponential(size=2000)
    found = sliced_w2(sample(a[:, None]), sample(b[:, None])) * a.std()
    assert found >= wasserstein_distance(a, b) * 0.97  # W2 >= W1


def test_sliced_w2_sees_what_moments_do_not():
    rng = np.random.default_rng(2)
    normal = rng.standard_normal((5000, 2))
    two_points = rng.choice([-1.0, 1.0], (5000, 2))
    assert gaussian_w2(Moments.of(normal), Moments.of(two_points)) < 0.05
    assert sliced_w2(sample(normal), sample(two_points)) > 0.2


def test_divergences_of_counts():
    before, after = np.array([400, 300, 200, 100]), np.array([100, 200, 300, 400])
    p, q = after / 1000, before / 1000
    middle = (p + q) / 2
    expected = (np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle))) / 2
    assert jensen_shannon(before, after) == pytest.approx(expected)
    assert kullback_leibler(before, after) == pytest.approx(np.sum(p * np.log2(p / q)), rel=0.01)
    assert jensen_shannon(before, 3 * before) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(np.array([5, 0]), np.array([0, 7])) == pytest.approx(1)
    assert np.isfinite(kullback_leibler(np.array([5, 0]), np.array([0, 7])))


def test_small_samples_look_different_by_chance():
    """Why thresholds come from drawn windows: the bias is that of theory, and large."""
    rng = np.random.default_rng(3)
    share = np.full(256, 1 / 256)
    before = rng.multinomial(10_000_000, share)
    drawn = [kullback_leibler(before, rng.multinomial(2000, share)) for _ in range(50)]
    assert np.mean(drawn) == pytest.approx(255 / (2 * 2000 * np.log(2)), rel=0.1)


def test_population_stability_against_groups_by_hand():
    before = np.array([100, 100, 100, 100])
    after = np.array([50, 100, 100, 150])
    p, q = before + 0.5, after + 0.5
    p, q = p / p.sum(), q / q.sum()
    assert population_stability(before, after, 4) == pytest.approx(((q - p) * np.log(q / p)).sum())
    assert population_stability(before, 7 * before, 4) == pytest.approx(0, abs=1e-4)
    # Rare entries fall into one group: what moves among them is not seen.
    rare = np.array([1, 1, 1, 1, 1000])
    assert population_stability(rare, np.array([4, 0, 0, 0, 1000]), 2) == pytest.approx(0, abs=1e-6)


@pytest.fixture(scope="module")
def clean(codec, voice):
    return collect(codec, [(voice(8.0, seed=seed), 16000) for seed in range(3)], rng=np.random.default_rng(0))


@pytest.fixture(scope="module")
def noisy(codec, voice):
    rng = np.random.default_rng(1)
    wavs = [voice(8.0, seed=seed) for seed in range(3, 6)]
    return collect(
        codec,
        [((wav + 0.05 * rng.standard_normal(wav.shape)).astype(np.float32), 16000) for wav in wavs],
        rng=rng,
    )


def test_nothing_has_moved_from_itself(clean):
    measures = compare(clean, clean)
    assert set(measures.values) == set(MEASURES)
    ones = {"usage", "perplexity", "error", "relative_error", "error_share"}
    for name, value in measures.table().items():
        assert value == pytest.approx(float(name in ones), abs=0.02), name  # kl is smoothed
    assert len(measures.values["js"]) == len(measures.values["error"]) == 8


def test_noise_moves_everything_that_should(clean, noisy):
    table = compare(clean, noisy).table()
    assert table["relative_error"] > 1.5
    assert table["w2"] > 0.1
    assert table["js"] > 0.05
    assert table["level_db"] != 0
    plain = noisy.stages[-1].error.mean / clean.stages[-1].error.mean
    assert table["error"] == pytest.approx(plain)
    assert table["entropy"] == pytest.approx(
        np.mean(
            [after.entropy - before.entropy for before, after in zip(clean.codes, noisy.codes, strict=True)]
        )
    )


def test_a_lower_bitrate_is_compared_stage_by_stage(codec, voice, clean):
    window = collect(codec, [(voice(4.0), 16000)], codec.bitrates[2], rng=np.random.default_rng(0))
    measures = compare(clean, window)
    assert len(measures.values["js"]) == len(measures.values["relative_error"]) == 3


def test_codes_of_other_codebooks_are_not_compared(clean, noisy):
    measures = compare(clean, replace(noisy, codebook_id="other"))
    assert "js" not in measures.values
    assert measures.overall("relative_error") > 1.5
    blank = replace(
        noisy,
        codebook_id="other",
        latents=type(noisy.latents).empty(48),
    )
    with pytest.raises(InputError, match="nothing to compare"):
        compare(clean, blank)


def test_other_models_are_refused(clean, noisy):
    with pytest.raises(InputError, match="make a baseline with this model"):
        compare(clean, replace(noisy, model_id="another"))
    with pytest.raises(InputError, match="other sizes"):
        compare(replace(clean, num_quantizers=2, stages=clean.stages[:2]), noisy)
    with pytest.raises(InputError, match="window has 0 frames"):
        compare(clean, replace(noisy, frames=0))
