import numpy as np
import pytest
import torch

from audiocodec.quantizers.projection import Projection, principal_axes, spread_like
from audiocodec.quantizers.rate_distortion import reproduction_variances


def _rows(count: int = 400, dim: int = 6) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(count, dim, generator=rng) @ torch.randn(dim, dim, generator=rng) + 5


@pytest.mark.parametrize("weight_norm", [False, True])
def test_starts_as_an_orthogonal_projection(weight_norm: bool) -> None:
    projection = Projection(6, 3, weight_norm=weight_norm)
    x = _rows()
    once = projection.back(projection.into(x))
    torch.testing.assert_close(projection.back(projection.into(once)), once, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close((x - once) @ projection.back.weight, torch.zeros(400, 3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("inner", [3, 6, 9])
@pytest.mark.parametrize("weight_norm", [False, True])
def test_fitted_channels_are_white_and_lead_back(inner: int, weight_norm: bool) -> None:
    torch.manual_seed(0)
    projection, x = Projection(6, inner, weight_norm=weight_norm), _rows()
    projection.fit_into(x)
    z = projection.into(x).detach()
    torch.testing.assert_close(z.mean(0), torch.zeros(inner), atol=1e-3, rtol=0)
    if inner <= 6:
        torch.testing.assert_close(z.t().cov(), torch.eye(inner), atol=1e-2, rtol=0)
    projection.fit_back(z, x)
    left = (projection.back(z) - x).square().mean().item()
    variances = torch.linalg.eigvalsh(x.t().cov().double())
    assert left == pytest.approx(
        float(variances[: max(0, 6 - inner)].sum()) / 6 * 399 / 400, rel=1e-2, abs=1e-3
    )


def test_principal_axes_of_a_known_shape() -> None:
    x = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0, 2.0])
    mean, axes, deviation = principal_axes(x, 2)
    assert mean.abs().max() < 0.2
    assert axes.abs().argmax(0).tolist() == [1, 2]
    assert deviation.tolist() == pytest.approx([5, 2], rel=0.05)


@pytest.mark.parametrize("width", [3, 6, 20])
def test_spread_like_gives_moments_in_as_many_directions_as_there_are(width: int) -> None:
    source = torch.randn(50, width, generator=torch.Generator().manual_seed(1))
    target = _rows()
    weight, bias = spread_like(source, target)
    mapped = source @ weight.t() + bias
    torch.testing.assert_close(mapped.mean(0), target.mean(0), atol=1e-3, rtol=1e-3)
    found, wanted = (torch.linalg.eigvalsh(x.t().cov().double()).flip(0) for x in (mapped, target))
    kept = min(width, 6)
    told = reproduction_variances(wanted[:kept], np.log2(50))
    wanted[:kept] = torch.maximum(told, 0.01 * wanted[:kept])
    torch.testing.assert_close(found[:kept], wanted[:kept], atol=1e-2, rtol=1e-2)
    assert float(found[kept:].abs().sum()) < 1e-3
