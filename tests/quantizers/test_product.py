import pytest
import torch

from audiocodec.errors import ConfigError, InputError
from audiocodec.quantizers import EMAVectorQuantizer, Parts, ProductQuantizer
from audiocodec.quantizers.vector import VectorQuantizer

EQUAL = Parts(commitment_weight=1.0)


def _latents(seed: int = 0, dim: int = 12) -> torch.Tensor:
    return torch.randn(4, dim, 25, generator=torch.Generator().manual_seed(seed))


def _product(groups: int = 3) -> ProductQuantizer:
    torch.manual_seed(0)
    return ProductQuantizer.split(12, groups, lambda dim: VectorQuantizer(dim, 8, parts=EQUAL)).eval()


def test_groups_are_coded_apart() -> None:
    quantizer = _product()
    output = quantizer(_latents())
    for group, stage in enumerate(quantizer.stages):
        alone = stage(_latents()[:, 4 * group : 4 * group + 4])
        assert torch.equal(output.codes[:, group : group + 1], alone.codes)
        assert torch.equal(output.quantized[:, 4 * group : 4 * group + 4], alone.quantized)


def test_only_whole_descriptions() -> None:
    quantizer = _product()
    assert quantizer.prefixes == (3,)
    assert quantizer.bits_per_frame() == 9.0
    with pytest.raises(InputError, match=r"num_quantizers is 2; allowed are \(3,\)"):
        quantizer.encode(_latents(), 2)


def test_loss_is_a_mean_over_all_channels_however_they_are_split() -> None:
    unequal = ProductQuantizer([VectorQuantizer(8, 8, parts=EQUAL), VectorQuantizer(4, 8, parts=EQUAL)])
    for quantizer in (_product(1), _product(3), unequal):
        output = quantizer(_latents())
        error = (output.quantized - _latents()).square().mean()
        assert output.loss.item() == pytest.approx(2 * float(error), rel=1e-5)


@pytest.mark.parametrize("groups", [0, 5, 24, -1])
def test_groups_that_do_not_divide_the_width_are_refused(groups: int) -> None:
    with pytest.raises(ConfigError, match=rf"groups is {groups}; .*12 allow \[1, 2, 3, 4, 6, 12\]"):
        ProductQuantizer.split(12, groups, lambda dim: EMAVectorQuantizer(dim, 8))


def test_one_number_for_all_examples_may_come_as_a_tensor() -> None:
    quantizer = _product()
    assert torch.equal(quantizer(_latents(), torch.full((4,), 3)).codes, quantizer(_latents()).codes)
    with pytest.raises(InputError, match="differs by example"):
        quantizer(_latents(), torch.tensor([3, 3, 2, 3]))
