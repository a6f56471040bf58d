import numpy as np
import pytest
import torch

from audiocodec.quantizers.feature_queue import FeatureQueue


def _randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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
