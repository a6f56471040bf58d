import pytest
import torch

from audiocodec.quantizers import QuantizerConfig, build_quantizer
from audiocodec.quantizers.residual_fsq import ResidualFiniteScalarQuantizer


def _latents(dim: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(4, dim, 60, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("levels", ["8,6,5", "5,5,5", "7,8"])
def test_against_vector_quantize_pytorch(levels: str) -> None:
    peer_module = pytest.importorskip("vector_quantize_pytorch")
    numbers = [int(level) for level in levels.split(",")]
    peer = peer_module.ResidualFSQ(levels=numbers, num_quantizers=4)
    # Its recent versions scale stage i by L^-i, which cuts what L - 1 intervals leave; earlier ones as we do.
    peer.scales = torch.stack([(torch.tensor(numbers) - 1.0) ** -i for i in range(4)])
    ours = ResidualFiniteScalarQuantizer(len(numbers), 8, num_quantizers=4, levels=levels)
    z = _latents(len(numbers))
    output = ours(z)
    quantized, indices = peer(z.transpose(1, 2))
    same = (output.codes == indices.permute(0, 2, 1).long()).all(1)
    assert float(same.float().mean()) > 0.99  # single precision rounds the last stage otherwise now and then
    torch.testing.assert_close(output.quantized, quantized.transpose(1, 2), atol=2e-3, rtol=0)


def test_every_stage_divides_the_largest_error_by_its_levels() -> None:
    quantizer = ResidualFiniteScalarQuantizer(3, 8, num_quantizers=4, levels="5,5,5")
    bounded = 1.25 * torch.tanh(_latents(3) / 1.25)
    for n in quantizer.prefixes:
        error = (quantizer.decode(quantizer.encode(_latents(3), n)) - bounded).abs().max()
        assert float(error) <= 0.25 * 4.0 ** -(n - 1) * 1.0001


def test_examples_may_use_different_numbers_of_stages() -> None:
    torch.manual_seed(0)
    quantizer = build_quantizer(QuantizerConfig("residual_fsq", 3, 64), 6)
    counts = torch.tensor([1, 3, 2, 1])
    together = quantizer(_latents(6), counts)
    for example, count in enumerate(counts.tolist()):
        alone = quantizer(_latents(6)[example : example + 1], count)
        torch.testing.assert_close(together.quantized[example], alone.quantized[0])
        assert torch.equal(together.codes[example, :count], alone.codes[0])
        assert not together.codes[example, count:].any()
