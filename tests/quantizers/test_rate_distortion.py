import numpy as np
import pytest
import torch

from audiocodec.quantizers.rate_distortion import reproduction_map, reproduction_variances


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
