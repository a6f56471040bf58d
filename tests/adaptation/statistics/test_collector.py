import numpy as np
import pytest
import torch

from audiocodec.adaptation.statistics import StatisticsCollector
from audiocodec.adaptation.statistics.collector import Reconstruction, steps
from audiocodec.errors import InputError
from audiocodec.metrics import codebook
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


@pytest.fixture(scope="module")
def quantizer():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stack = build_quantizer(QuantizerConfig("ema", 3, 32, search_width=2), 8)
        stack.initialize(torch.randn(1, 8, 600))
    return stack.eval()


@pytest.fixture(scope="module")
def latents():
    return torch.randn(2, 8, 700, generator=torch.Generator().manual_seed(1)) + 0.5


def collect(quantizer, latents, sizes=(700,), seed=0, **options):
    collector = StatisticsCollector(quantizer, rng=np.random.default_rng(seed), reservoir_size=100, **options)
    for part in latents.split(list(sizes), dim=2):
        collector.update(part, quantizer.encode(part))
    return collector.statistics()


def test_against_plain_computation(quantizer, latents):
    found = collect(quantizer, latents)
    codes = quantizer.encode(latents)
    rows = latents.transpose(1, 2).reshape(-1, 8).double().numpy()
    assert found.frames == 1400
    assert found.latents.mean == pytest.approx(rows.mean(axis=0), abs=1e-6)
    assert found.latents.covariance == pytest.approx(np.cov(rows.T, bias=True), rel=1e-5, abs=1e-6)
    for stage in range(3):
        left = (
            (latents - quantizer.decode(codes[:, : stage + 1]))
            .transpose(1, 2)
            .reshape(-1, 8)
            .double()
            .numpy()
        )
        assert found.stages[stage].error.mean == pytest.approx((left**2).sum(axis=1).mean(), rel=1e-5)
        assert found.codes[stage].perplexity == pytest.approx(
            codebook.perplexity(codes[:, stage].numpy(), 32)
        )
        pairs = (codes[:, stage, 1:] == codes[:, stage, :-1]).float().mean()
        assert found.codes[stage].repeat_rate == pytest.approx(float(pairs))
    error = codebook.quantization_error(latents.numpy(), quantizer.decode(codes).numpy())
    assert found.relative_errors[-1] == pytest.approx(error, rel=1e-5)


def test_pieces_of_any_size_give_the_same(quantizer, latents):
    whole, pieces = collect(quantizer, latents), collect(quantizer, latents, (1, 49, 50, 250, 350))
    assert all(np.array_equal(a.counts, b.counts) for a, b in zip(whole.codes, pieces.codes, strict=True))
    assert all(np.array_equal(a.bigrams, b.bigrams) for a, b in zip(whole.codes, pieces.codes, strict=True))
    assert whole.relative_errors == pytest.approx(pieces.relative_errors, rel=1e-6)
    assert whole.latents.scatter == pytest.approx(pieces.latents.scatter, rel=1e-4, abs=1e-4)


def test_parts_add_up_to_the_whole(quantizer, latents):
    parts = [collect(quantizer, part, (350,), seed) for seed, part in enumerate(latents.split(350, dim=2))]
    whole = collect(quantizer, latents)
    a_b, b_a = parts[0] + parts[1], parts[1] + parts[0]
    for joined in (a_b, b_a):
        assert joined.frames == whole.frames
        assert all(np.array_equal(a.counts, b.counts) for a, b in zip(joined.codes, whole.codes, strict=True))
        assert joined.relative_errors == pytest.approx(whole.relative_errors, rel=1e-6)
    assert np.array_equal(a_b.reservoir.vectors, b_a.reservoir.vectors)
    # Where the parts meet a pair of frames is not seen, in each of two streams.
    assert whole.codes[0].pairs - a_b.codes[0].pairs == 2


def test_every_fourth_frame_is_looked_at_across_pieces(quantizer, latents):
    found = collect(quantizer, latents, (3, 6, 691), sample_every=4)
    rows = latents[..., ::4].transpose(1, 2).reshape(-1, 8).double().numpy()
    assert found.frames == 1400
    assert found.latents.count == len(rows)
    assert found.latents.mean == pytest.approx(rows.mean(axis=0), abs=1e-6)


def test_error_shares_follow_from_the_errors(quantizer, latents):
    found = collect(quantizer, latents)
    assert found.error_shares[1] == pytest.approx(found.stages[1].error.mean / found.stages[0].error.mean)


def test_codes_alone(quantizer, latents):
    collector = StatisticsCollector(quantizer, rng=np.random.default_rng(0))
    collector.update(None, quantizer.encode(latents))
    found = collector.statistics()
    assert found.codes_only
    assert found.relative_errors == (0, 0, 0)
    assert found.codes[1].frames == 1400


@pytest.mark.parametrize(
    ("codes", "latents", "message"),
    [
        (torch.zeros(1, 2, 5, dtype=torch.long), None, r"expected \[B, 3, T\]"),
        (torch.zeros(1, 3, 5, dtype=torch.long), torch.zeros(1, 8, 4), r"expected \(1, 8, 5\)"),
        (torch.full((1, 3, 5), 40), None, "codes reach 40"),
        (torch.zeros(1, 3, 5, dtype=torch.long), torch.full((1, 8, 5), torch.nan), "not finite"),
    ],
)
def test_bad_input_counts_nothing(quantizer, codes, latents, message):
    collector = StatisticsCollector(quantizer, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match=message):
        collector.update(latents, codes)
    assert collector.statistics().frames == 0


def test_another_recording_makes_no_pair(quantizer, latents):
    collector = StatisticsCollector(quantizer, rng=np.random.default_rng(0))
    codes = quantizer.encode(latents)
    collector.update(None, codes)
    collector.new_recording()
    collector.update(None, codes)
    assert collector.statistics().codes[0].pairs == 2 * 2 * 699
