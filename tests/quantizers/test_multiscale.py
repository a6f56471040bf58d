import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.quantizers import MultiScaleQuantizer, QuantizerConfig, build_quantizer
from audiocodec.quantizers.multiscale import StridedQuantizer
from audiocodec.quantizers.vector import VectorQuantizer


def _latents(frames: int = 12, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 4, frames, generator=torch.Generator().manual_seed(seed))


def _quantizer() -> MultiScaleQuantizer:
    torch.manual_seed(0)
    quantizer = build_quantizer(QuantizerConfig("vector", 3, 16, strides=(4, 2, 1)), 4)
    assert isinstance(quantizer, MultiScaleQuantizer)
    quantizer.initialize(_latents(200, 9))
    return quantizer.eval()


@pytest.mark.parametrize("frames", [12, 13, 15, 1])
def test_levels_of_snac_written_out(frames: int) -> None:
    quantizer = _quantizer()
    residual, total = _latents(frames), torch.zeros(2, 4, frames)
    codes = quantizer.encode(_latents(frames))
    for row, stride in enumerate((4, 2, 1)):
        codebook = quantizer.codebooks()[f"{row}.codebook"]
        level = torch.zeros(2, 4, frames)
        for start in range(0, frames, stride):
            mean = residual[:, :, start : start + stride].mean(2)
            k = torch.cdist(mean, codebook).argmin(1)
            assert torch.equal(
                codes[:, row, start : start + stride], k[:, None].expand(-1, min(stride, frames - start))
            )
            level[:, :, start : start + stride] = codebook[k][:, :, None]
        residual, total = residual - level, total + level
    torch.testing.assert_close(quantizer.decode(codes), total)


def test_bits_count_shared_codes_once() -> None:
    quantizer = _quantizer()
    assert quantizer.strides == (4, 2, 1)
    assert [quantizer.bits_per_frame(n) for n in (1, 2, 3)] == [1, 3, 7]
    assert sum(len(set(codes[:4].tolist())) for codes in quantizer.encode(_latents())[0]) <= 1 + 2 + 4


def test_pieces_of_whole_strides_are_coded_alike() -> None:
    quantizer = _quantizer()
    pieces = [quantizer.encode(piece) for piece in _latents(24).split(8, dim=2)]
    assert torch.equal(torch.cat(pieces, dim=2), quantizer.encode(_latents(24)))


def test_of_codes_that_should_repeat_the_first_counts() -> None:
    quantizer = _quantizer()
    codes = quantizer.encode(_latents())
    changed = codes.clone()
    changed[:, 0, 1] = (changed[:, 0, 1] + 1) % 16
    assert torch.equal(quantizer.decode(changed), quantizer.decode(codes))


def test_alone_a_strided_stage_passes_the_identity() -> None:
    quantizer = StridedQuantizer(VectorQuantizer(4, 16), 4)
    latents, direction = _latents().requires_grad_(), _latents(seed=3)
    (gradient,) = torch.autograd.grad((quantizer(latents).quantized * direction).sum(), latents)
    torch.testing.assert_close(gradient, direction)


def test_strides_must_fit() -> None:
    with pytest.raises(ConfigError, match=r"strides are \(2,\); give one for each of 2 stages"):
        MultiScaleQuantizer([VectorQuantizer(4, 8), VectorQuantizer(4, 8)], (2,))
    with pytest.raises(ConfigError, match="stride is 0"):
        StridedQuantizer(VectorQuantizer(4, 8), 0)
