import itertools

import numpy as np
import pytest
import torch

from audiocodec.quantizers import Parts, QuantizerConfig, build_method, build_quantizer
from audiocodec.quantizers.wasserstein import (
    FeatureQueue,
    Matching,
    WassersteinVectorQuantizer,
    gaussian_wasserstein,
    mean_discrepancy,
    sliced_wasserstein,
)


def _moments(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    centered = points - points.mean(0)
    return points.mean(0), centered.t() @ centered / (len(points) - 1)


def _latents(seed: int, dim: int = 4, batch: int = 8) -> torch.Tensor:
    return 5 + 2 * torch.randn(batch, dim, 32, generator=torch.Generator().manual_seed(seed))


def _train(options: dict, steps: int = 120, size: int = 64) -> WassersteinVectorQuantizer:
    torch.manual_seed(0)
    quantizer = build_method(4, "wasserstein", size, {"queue_size": 2048, **options}).train()
    assert isinstance(quantizer, WassersteinVectorQuantizer)
    optimizer = torch.optim.Adam(quantizer.parameters(), lr=0.2)
    for step in range(steps):
        optimizer.zero_grad()
        quantizer(_latents(step)).loss.backward()
        optimizer.step()
    return quantizer


def test_loss_is_the_weighted_sum_with_the_scaled_distance_to_the_queue() -> None:
    torch.manual_seed(0)
    quantizer = WassersteinVectorQuantizer(
        4, 16, matching=Matching(queue_size=1000, wasserstein_weight=0.7)
    ).train()
    quantizer(_latents(0))
    output = quantizer(_latents(1))
    seen = torch.cat([_latents(0), _latents(1)]).transpose(1, 2).reshape(-1, 4)
    scale = seen.std(0).max()
    entries = quantizer.codebook.detach()
    distance = gaussian_wasserstein(*_moments(seen / scale), entries / scale)
    error = (output.quantized - _latents(1)).square().mean()
    assert output.loss.item() == pytest.approx(1.1 * error.item() + 0.7 * distance.item(), rel=1e-4)


def test_distance_moves_the_codebook_only() -> None:
    quantizer = WassersteinVectorQuantizer(
        4, 16, parts=Parts(commitment_weight=0.0, codebook_weight=0.0), matching=Matching(queue_size=1000)
    ).train()
    latents = _latents(0).requires_grad_()
    quantizer(latents).loss.backward()
    assert latents.grad is None or not bool(latents.grad.any())
    assert float(quantizer.codebook.grad.abs().max()) > 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"variant": "sliced"},
        {"variant": "mmd", "wasserstein_weight": 5.0, "queue_size": 256},
        {"target": "zador"},
    ],
)
def test_nearly_all_entries_come_into_use_from_one_point(options: dict) -> None:
    quantizer = _train(options).eval()
    used = quantizer.encode(_latents(999, batch=100)).unique()
    assert len(used) >= 59


def test_without_the_distance_most_entries_stay_unused() -> None:
    quantizer = _train({"wasserstein_weight": 0.0}).eval()
    assert len(quantizer.encode(_latents(999, batch=100)).unique()) < 20


def test_codebook_takes_the_covariance_asked_for() -> None:
    spread = {}
    for scale in (1.0, 0.25):
        options = {"covariance_scale": scale, "codebook_weight": 0.0, "commitment_weight": 0.0}
        spread[scale] = _train(options).codebook.detach().var(0).mean().item()
    assert spread[1.0] == pytest.approx(4, rel=0.1)
    assert spread[0.25] == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("variant", ["gaussian", "sliced"])
def test_codebook_takes_the_covariance_that_its_bits_can_tell(variant: str) -> None:
    options = {"target": "rate", "variant": variant, "codebook_weight": 0.0, "commitment_weight": 0.0}
    spread = _train(options).codebook.detach().var(0).mean().item()
    assert spread == pytest.approx(4 * (1 - 2 ** (-2 * 6 / 4)), rel=0.1)  # 6 bits for 4 equal dimensions


def test_evaluation_needs_and_fills_no_queue() -> None:
    quantizer = WassersteinVectorQuantizer(4, 16).eval()
    output = quantizer(_latents(0))
    assert "wasserstein" not in output.metrics
    assert int(quantizer.queue.filled) == 0


def test_every_stage_has_its_own_queue() -> None:
    torch.manual_seed(0)
    stack = build_quantizer(
        QuantizerConfig("wasserstein", 3, 16, search_width=1, options={"queue_size": 512}), 4
    )
    stack.initialize(_latents(0))
    stack.train()(_latents(0))
    spreads = [float(stage.queue.moments()[1].trace()) for stage in stack.stages]
    assert spreads[0] > 1.5 * spreads[1] > 0


def _randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _cloud(count: int, dim: int, seed: int) -> torch.Tensor:
    return _randn(count, dim, seed=seed) @ _randn(dim, dim, seed=seed + 1) + _randn(dim, seed=seed + 2)


@pytest.mark.parametrize("dim", [1, 2, 5, 16])
def test_closed_form_against_scipy_matrix_roots(dim: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    features, points = _cloud(300, dim, 0).double(), _cloud(70, dim, 10).double()
    mean, covariance = _moments(features)
    s_z = np.atleast_2d(np.cov(features.numpy().T))
    s_c = np.atleast_2d(np.cov(points.numpy().T))
    np.testing.assert_allclose(covariance.numpy(), s_z, atol=1e-10)
    root = linalg.sqrtm(s_c)
    cross = np.real(linalg.sqrtm(root @ s_z @ root))
    shift = features.numpy().mean(0) - points.numpy().mean(0)
    expected = np.sqrt(shift @ shift + np.trace(s_z + s_c - 2 * cross))
    assert float(gaussian_wasserstein(mean, covariance, points)) == pytest.approx(expected, rel=1e-4)


def test_closed_form_in_single_precision_stays_close() -> None:
    features, points = _cloud(300, 16, 0), _cloud(70, 16, 10)
    exact = gaussian_wasserstein(*_moments(features.double()), points.double())
    assert float(gaussian_wasserstein(*_moments(features), points)) == pytest.approx(float(exact), rel=1e-3)


def test_closed_form_of_equal_moments_is_zero_and_of_a_shift_its_length() -> None:
    features = _cloud(500, 4, 0).double()
    mean, covariance = _moments(features)
    assert float(gaussian_wasserstein(mean, covariance, features)) < 1e-3
    shift = torch.tensor([3.0, 0.0, 4.0, 0.0]).double()
    assert float(gaussian_wasserstein(mean, covariance, features + shift)) == pytest.approx(5, rel=1e-4)


def test_gradient_of_the_closed_form_by_differences() -> None:
    mean, covariance = _moments(_cloud(200, 3, 0).double())
    points = _cloud(9, 3, 10).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gaussian_wasserstein(mean, covariance, x), points, atol=1e-4)


def test_gradient_is_finite_for_fewer_points_than_dimensions_and_for_one_point() -> None:
    mean, covariance = _moments(_cloud(50, 8, 0))
    for count in (1, 3):
        points = _randn(count, 8).requires_grad_()
        gaussian_wasserstein(mean, covariance, points).backward()
        assert bool(points.grad.isfinite().all())


def test_descending_the_distance_gives_points_the_moments_of_the_features() -> None:
    features = _cloud(2000, 3, 0)
    mean, covariance = _moments(features)
    points = (0.01 * _randn(64, 3)).requires_grad_()
    optimizer = torch.optim.Adam([points], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        gaussian_wasserstein(mean, covariance, points).backward()
        optimizer.step()
    found_mean, found_covariance = _moments(points.detach())
    torch.testing.assert_close(found_mean, mean, atol=0.05, rtol=0)
    torch.testing.assert_close(found_covariance, covariance, atol=0.15, rtol=0.1)


def test_on_a_line_sliced_is_the_best_assignment_of_all() -> None:
    features, points = _randn(6, 1), _randn(6, 1, seed=1)
    best = min(
        float((features[list(order)] - points).square().mean()) for order in itertools.permutations(range(6))
    )
    assert float(sliced_wasserstein(features, points, 3)) == pytest.approx(best**0.5, rel=1e-5)


def test_on_a_line_each_point_takes_its_share_of_more_features() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    features, points = _randn(12, 1), _randn(4, 1, seed=1)
    costs = (features - points.repeat_interleave(3, 0).t()).square().numpy()
    rows, columns = optimize.linear_sum_assignment(costs)
    expected = np.sqrt(costs[rows, columns].mean())
    assert float(sliced_wasserstein(features, points, 3)) == pytest.approx(expected, rel=1e-5)


def test_sliced_of_a_shift_is_about_its_length() -> None:
    features = _randn(256, 4)
    shifted = features + torch.tensor([3.0, 0.0, 4.0, 0.0])
    found = sliced_wasserstein(features, shifted, 4000, torch.Generator().manual_seed(0))
    assert float(found) == pytest.approx(5, rel=0.03)
    assert float(sliced_wasserstein(features, features[torch.randperm(256)], 10)) < 1e-4


def test_descending_sliced_follows_two_clouds_where_moments_do_not() -> None:
    """Half the features at -3, half at +3: moments alone leave points in the empty middle."""
    features = torch.cat([_randn(512, 2) * 0.2 - 3, _randn(512, 2, seed=1) * 0.2 + 3])
    away = {}
    for name in ("gaussian", "sliced"):
        points = _randn(64, 2, seed=2).requires_grad_()
        optimizer = torch.optim.Adam([points], lr=0.1)
        rng = torch.Generator().manual_seed(0)
        for _ in range(150):
            optimizer.zero_grad()
            if name == "gaussian":
                loss = gaussian_wasserstein(*_moments(features), points)
            else:
                loss = sliced_wasserstein(features, points, 16, rng)
            loss.backward()
            optimizer.step()
        away[name] = float(torch.cdist(points.detach(), features).min(dim=1).values.quantile(0.9))
    assert away["gaussian"] > 0.4
    assert away["sliced"] < 0.1


def test_mean_discrepancy_pair_by_pair() -> None:
    features, points = _cloud(7, 3, 0).double(), _cloud(5, 3, 10).double()
    width = np.mean([float((x - c).norm()) for x in features for c in points])

    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        distance = float((a - b).norm())
        return np.mean([np.exp(-(distance**2) / (2 * (s * width) ** 2)) for s in (1, 2)])

    def mean(first: torch.Tensor, second: torch.Tensor) -> float:
        return np.mean([k(a, b) for a in first for b in second])

    expected = mean(features, features) - 2 * mean(features, points) + mean(points, points)
    assert float(mean_discrepancy(features, points)) == pytest.approx(expected, rel=1e-6)
    assert float(mean_discrepancy(features, features)) == pytest.approx(0, abs=1e-12)


def test_holds_the_last_features_and_their_moments_at_every_step() -> None:
    queue, seen = FeatureQueue(50, 3), torch.zeros(0, 3)
    for step, count in enumerate((1, 7, 20, 20, 3, 49, 50, 1, 120, 33)):
        rows = 5 + _randn(count, 3, seed=step)
        queue.push(rows)
        seen = torch.cat([seen, rows])[-50:]
        held = queue.features[: int(queue.filled)]
        assert sorted(map(tuple, held.tolist())) == sorted(map(tuple, seen.tolist()))
        if len(seen) > 1:
            mean, covariance = queue.moments()
            np.testing.assert_allclose(mean.numpy(), seen.double().numpy().mean(0), rtol=1e-5)
            np.testing.assert_allclose(covariance.numpy(), np.cov(seen.double().numpy().T), atol=1e-5)


def test_weights_count_like_repetitions() -> None:
    queue, rows = FeatureQueue(64, 2), _randn(30, 2)
    weights = torch.randint(1, 4, (30,), generator=torch.Generator().manual_seed(1)).float()
    queue.push(rows, weights)
    repeated = rows.repeat_interleave(weights.long(), dim=0).double().numpy()
    mean, covariance = queue.moments()
    np.testing.assert_allclose(mean.numpy(), repeated.mean(0), atol=1e-6)
    np.testing.assert_allclose(covariance.numpy(), np.cov(repeated.T, bias=True) * 30 / 29, atol=1e-5)


def test_samples_follow_the_weights() -> None:
    torch.manual_seed(0)
    queue = FeatureQueue(10, 1)
    queue.push(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([1.0, 3.0, 0.0]))
    drawn = queue.sample(8000)[:, 0].long().bincount(minlength=3) / 8000
    assert drawn.tolist() == pytest.approx([0.25, 0.75, 0.0], abs=0.02)


def test_equal_weights_are_sampled_without_repetition() -> None:
    queue = FeatureQueue(10, 1)
    queue.push(torch.arange(6.0)[:, None])
    assert sorted(queue.sample(6)[:, 0].tolist()) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("dim", [2, 4])
def test_zador_weights_flatten_a_gaussian_as_theory_says(dim: int) -> None:
    """f^(d/(d+2)) of N(0, S) is N(0, S (d+2)/d)."""
    torch.manual_seed(0)
    queue = FeatureQueue(8192, dim)
    for step in range(8):
        rows = 3 * _randn(1024, dim, seed=step)
        queue.push(rows, queue.zador_weights(rows))
    _, covariance = queue.moments()
    assert covariance.diagonal().tolist() == pytest.approx([9 * (dim + 2) / dim] * dim, rel=0.2)


def test_statistics_stay_out_of_saved_models_but_in_the_trainers_buffers() -> None:
    queue = FeatureQueue(8, 2)
    assert list(queue.state_dict()) == []
    assert {"features", "filled", "cursor", "first_sum"} <= set(dict(queue.named_buffers()))
