import pytest
import torch

from audiocodec.adaptation.statistics.reconstruction import Reconstruction, steps
from audiocodec.quantizers import QuantizerConfig, build_quantizer
from audiocodec.quantizers.latent_map import LatentMap


@pytest.fixture(scope="module")
def stacks():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = build_quantizer(QuantizerConfig("ema", 4, 16, search_width=1), 8)
        grouped = build_quantizer(QuantizerConfig("ema", 2, 16, search_width=1, groups=2), 8)
        factorized = build_quantizer(QuantizerConfig("factorized", 3, 16, search_width=1), 8)
        for stack in (plain, grouped, factorized):
            stack.initialize(torch.randn(1, 8, 300))
        mapped = LatentMap(plain)
        mapped.scale.uniform_(0.5, 2)
        mapped.shift.normal_()
    return {
        "plain": plain.eval(),
        "grouped": grouped.eval(),
        "factorized": factorized.eval(),
        "mapped": mapped,
    }


@pytest.mark.parametrize("name", ["plain", "grouped", "factorized", "mapped"])
def test_it_is_what_the_decoder_gets_after_each_stage(stacks, name):
    quantizer = stacks[name]
    codes = quantizer.encode(torch.randn(1, 8, 40, generator=torch.Generator().manual_seed(2)))
    found = Reconstruction(quantizer, codes.shape[1])(codes[0].t())
    assert len(found) == len(quantizer.prefixes)
    for number, rows in enumerate(quantizer.prefixes):
        torch.testing.assert_close(found[number], quantizer.decode(codes[:, :rows])[0].t())


def test_steps_follow_the_ladder(stacks):
    assert steps(stacks["plain"], 3) == ((0, 1), (1, 2), (2, 3))
    assert steps(stacks["grouped"], 4) == ((0, 2), (2, 4))
