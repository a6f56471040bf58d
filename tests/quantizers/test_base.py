import pytest
import torch

from audiocodec.errors import InputError
from audiocodec.quantizers import EMAVectorQuantizer, ProductQuantizer, ResidualQuantizer


def _quantizer() -> ResidualQuantizer:
    return ResidualQuantizer(
        [ProductQuantizer([EMAVectorQuantizer(2, 4), EMAVectorQuantizer(2, 6)]), EMAVectorQuantizer(4, 8)]
    )


def test_bits_add_up_over_rows_and_may_be_fractional() -> None:
    assert _quantizer().bits_per_frame(2) == pytest.approx(2 + 2.584962500721156)
    assert _quantizer().bits_per_frame() == pytest.approx(2 + 2.584962500721156 + 3)


def test_every_row_has_its_own_range() -> None:
    codes = torch.tensor([3, 5, 7])[None, :, None]
    assert _quantizer().check_codes(codes) == 3
    with pytest.raises(InputError, match=r"codes\[:, 0\] holds 4; allowed are 0 to 3"):
        _quantizer().check_codes(torch.tensor([4, 5, 7])[None, :, None])
    with pytest.raises(InputError, match=r"codes\[:, 1\] holds -2; allowed are 0 to 5"):
        _quantizer().check_codes(torch.tensor([3, -2, 7])[None, :, None])


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3, 1, 1)])
def test_codes_have_three_dimensions(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected int64 \[B, N, T\]"):
        _quantizer().check_codes(torch.zeros(shape, dtype=torch.long))


def test_codes_of_any_whole_type_pass() -> None:
    assert _quantizer().check_codes(torch.zeros(1, 3, 2, dtype=torch.int32)) == 3


def test_codebooks_are_named_by_their_place() -> None:
    assert list(_quantizer().codebooks()) == ["0.0.codebook", "0.1.codebook", "1.codebook"]


def test_no_number_means_all_rows() -> None:
    assert _quantizer().check_num_quantizers(None) == 3
    assert _quantizer().check_num_quantizers(torch.tensor([2, 2])) == 2
