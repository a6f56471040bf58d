import math

import pytest
import torch

from audiocodec.quantizers import build_method
from audiocodec.quantizers.fsq import FiniteScalarQuantizer, choose_levels


@pytest.mark.parametrize("levels", ["8,6,5", "8,5,5,5", "7,5,5,5,5", "3,4", "5"])
def test_against_vector_quantize_pytorch(levels: str) -> None:
    peer_module = pytest.importorskip("vector_quantize_pytorch")
    numbers = [int(level) for level in levels.split(",")]
    peer = peer_module.FSQ(numbers)
    ours = FiniteScalarQuantizer(len(numbers), 8, levels=levels)
    z = 2 * torch.randn(4, len(numbers), 60, generator=torch.Generator().manual_seed(0))
    direction = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    mine, theirs = z.clone().requires_grad_(), z.clone().requires_grad_()
    output = ours(mine)
    quantized, indices = peer(theirs.transpose(1, 2))
    assert torch.equal(output.codes[:, 0], indices.long())
    torch.testing.assert_close(output.quantized, quantized.transpose(1, 2))
    (output.quantized * direction).sum().backward()
    (quantized.transpose(1, 2) * direction).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize("levels", ["8,6,5", "7,5", "2,3,4"])
def test_every_index_decodes_to_its_own_grid_point_and_back(levels: str) -> None:
    numbers = [int(level) for level in levels.split(",")]
    quantizer = FiniteScalarQuantizer(len(numbers), 8, levels=levels)
    every = torch.arange(quantizer.codebook_sizes[0])[None, None]
    points = quantizer.decode(every)[0]
    assert len({tuple(p) for p in points.t().tolist()}) == math.prod(numbers)
    assert -1.0 <= float(points.min()) <= float(points.max()) <= 1.0
    half = (torch.tensor(numbers) - 1) * (1 + 1e-3) / 2
    offset = torch.where(torch.tensor(numbers) % 2 == 0, 0.5, 0.0)
    raw = (
        points * (torch.tensor(numbers) // 2)[:, None]
    )  # back through the bound, to latents that round there
    latents = torch.atanh((raw + offset[:, None]) / half[:, None]) - torch.atanh(offset / half)[:, None]
    assert torch.equal(quantizer.encode(latents[None]), every)


def test_bits_are_fractional_and_the_codebook_is_what_the_levels_give() -> None:
    quantizer = build_method(16, "fsq", 1024, {})
    assert quantizer.codebook_sizes == (1000,)
    assert quantizer.bits_per_frame() == pytest.approx(math.log2(1000))
    assert quantizer.codebooks() == {}


@pytest.mark.parametrize(
    ("size", "expected"),
    [(256, (8, 6, 5)), (1024, (8, 5, 5, 5)), (4096, (7, 5, 5, 5, 5)), (16384, (8, 8, 8, 6, 5))],
)
def test_levels_of_the_paper(size: int, expected: tuple[int, ...]) -> None:
    assert choose_levels(size) == expected


@pytest.mark.parametrize("size", [5, 12, 64, 512, 2048, 8192, 1 << 15, 1 << 18])
def test_other_sizes_get_close_from_below_with_five_levels_or_more(size: int) -> None:
    levels = choose_levels(size)
    assert min(levels) >= 5
    assert 0.6 * size <= math.prod(levels) <= size


def test_initialize_finds_the_directions_that_matter() -> None:
    torch.manual_seed(0)
    few = torch.randn(4, 4, 500)
    mixing = torch.linalg.qr(torch.randn(12, 12)).Q[:, :4]
    latents = torch.einsum("dc,bct->bdt", mixing, few) * 3 + 1
    fitted, plain = build_method(12, "fsq", 1024, {}), build_method(12, "fsq", 1024, {})
    fitted.initialize(latents)
    errors = [(q.decode(q.encode(latents)) - latents).square().mean().item() for q in (fitted, plain)]
    assert errors[0] < 0.15 * latents.var().item()
    assert errors[0] < 0.3 * errors[1]
