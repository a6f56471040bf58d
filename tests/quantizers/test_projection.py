import numpy as np
import pytest
import torch

from audiocodec.quantizers.projection import (
    Projection,
    reproduction_map,
    reproduction_variances,
    spread_like,
)


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


@pytest.mark.parametrize(("inner", "weight_norm"), [(3, False), (3, True), (6, True), (9, False), (9, True)])
def test_fitted_channels_are_white_and_lead_back(inner: int, weight_norm: bool) -> None:
    torch.manual_seed(0)
    projection, x = Projection(6, inner, weight_norm=weight_norm), _rows()
    projection.fit(x, projection.into)
    z = projection.into(x).detach()
    torch.testing.assert_close(z.mean(0), torch.zeros(inner), atol=1e-3, rtol=0)
    if inner <= 6:
        torch.testing.assert_close(z.t().cov(), torch.eye(inner), atol=1e-2, rtol=0)
    left = (projection.back(z) - x).square().mean().item()
    variances = torch.linalg.eigvalsh(x.t().cov().double())
    assert left == pytest.approx(
        float(variances[: max(0, 6 - inner)].sum()) / 6 * 399 / 400, rel=1e-2, abs=1e-3
    )


def test_equal_widths_need_no_map() -> None:
    projection, x = Projection(6, 6), _rows()
    projection.fit(x, torch.round)
    assert projection.into(x) is projection.back(x) is x
    assert projection.state_dict() == {}


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


@pytest.mark.parametrize("bits", [0.1, 1.0, 3.5, 10.0, 40.0])
def test_bits_and_distortion_are_those_of_reverse_water_filling(bits: float) -> None:
    variances = torch.tensor([4.0, 1.0, 1.0, 0.2, 0.01], dtype=torch.float64)
    distortion = (variances - reproduction_variances(variances, bits)).numpy()
    assert float(0.5 * np.log2(variances.numpy() / distortion).sum()) == pytest.approx(bits, rel=1e-6)
    told = distortion < variances.numpy() * (1 - 1e-9)
    level = distortion[told]
    np.testing.assert_allclose(level, level[0], rtol=1e-6)
    assert (variances.numpy()[~told] <= level[0]).all()


def test_one_dimension_has_its_closed_form() -> None:
    found = reproduction_variances(torch.tensor([3.0]), 2.0)
    assert float(found) == pytest.approx(3 * (1 - 2**-4), rel=1e-5)


@pytest.mark.parametrize(("bits", "share"), [(0.0, 0.0), (500.0, 1.0)])
def test_ends(bits: float, share: float) -> None:
    variances = torch.tensor([2.0, 1.0])
    torch.testing.assert_close(reproduction_variances(variances, bits), share * variances)


def test_the_map_gives_the_variances_along_the_axes() -> None:
    mixing = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).double()
    covariance = mixing @ mixing.t()
    shrink = reproduction_map(covariance, 4.0)
    torch.testing.assert_close(shrink, shrink.t())
    found = torch.linalg.eigvalsh(shrink @ covariance @ shrink)
    wanted = reproduction_variances(torch.linalg.eigvalsh(covariance), 4.0)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-6)


def test_no_codebook_of_random_entries_does_better_with_more_spread() -> None:
    """256 entries in 64 dimensions: as spread as the vectors, they are worse than their mean alone."""
    torch.manual_seed(0)
    vectors, entries = torch.randn(2000, 64), torch.randn(256, 64)
    spread = float(reproduction_variances(torch.ones(64), 8.0)[0]) ** 0.5
    errors = [torch.cdist(vectors, s * entries).amin(1).square().mean().item() / 64 for s in (spread, 1.0)]
    assert errors[0] < 0.95
    assert errors[1] > 1.0
