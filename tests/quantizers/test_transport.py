import itertools

import numpy as np
import pytest
import torch

from audiocodec.quantizers.transport import (
    gaussian_wasserstein,
    mean_and_covariance,
    mean_discrepancy,
    sliced_wasserstein,
)


def _randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _cloud(count: int, dim: int, seed: int) -> torch.Tensor:
    return _randn(count, dim, seed=seed) @ _randn(dim, dim, seed=seed + 1) + _randn(dim, seed=seed + 2)


@pytest.mark.parametrize("dim", [1, 2, 5, 16])
def test_closed_form_against_scipy_matrix_roots(dim: int) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    features, points = _cloud(300, dim, 0).double(), _cloud(70, dim, 10).double()
    mean, covariance = mean_and_covariance(features)
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
    exact = gaussian_wasserstein(*mean_and_covariance(features.double()), points.double())
    assert float(gaussian_wasserstein(*mean_and_covariance(features), points)) == pytest.approx(
        float(exact), rel=1e-3
    )


def test_closed_form_of_equal_moments_is_zero_and_of_a_shift_its_length() -> None:
    features = _cloud(500, 4, 0).double()
    mean, covariance = mean_and_covariance(features)
    assert float(gaussian_wasserstein(mean, covariance, features)) < 1e-3
    shift = torch.tensor([3.0, 0.0, 4.0, 0.0]).double()
    assert float(gaussian_wasserstein(mean, covariance, features + shift)) == pytest.approx(5, rel=1e-4)


def test_gradient_of_the_closed_form_by_differences() -> None:
    mean, covariance = mean_and_covariance(_cloud(200, 3, 0).double())
    points = _cloud(9, 3, 10).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: gaussian_wasserstein(mean, covariance, x), points, atol=1e-4)


def test_gradient_is_finite_for_fewer_points_than_dimensions_and_for_one_point() -> None:
    mean, covariance = mean_and_covariance(_cloud(50, 8, 0))
    for count in (1, 3):
        points = _randn(count, 8).requires_grad_()
        gaussian_wasserstein(mean, covariance, points).backward()
        assert bool(points.grad.isfinite().all())


def test_descending_the_distance_gives_points_the_moments_of_the_features() -> None:
    features = _cloud(2000, 3, 0)
    mean, covariance = mean_and_covariance(features)
    points = (0.01 * _randn(64, 3)).requires_grad_()
    optimizer = torch.optim.Adam([points], lr=0.05)
    for _ in range(250):
        optimizer.zero_grad()
        gaussian_wasserstein(mean, covariance, points).backward()
        optimizer.step()
    found_mean, found_covariance = mean_and_covariance(points.detach())
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
        for _ in range(300):
            optimizer.zero_grad()
            if name == "gaussian":
                loss = gaussian_wasserstein(*mean_and_covariance(features), points)
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
