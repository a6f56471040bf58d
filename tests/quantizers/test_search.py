import itertools

import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.quantizers import EMAVectorQuantizer, ResidualQuantizer, search
from audiocodec.quantizers.search import beam_search


@pytest.fixture
def stack():
    torch.manual_seed(0)
    vectors = torch.randn(200, 6)
    codebooks = [torch.randn(5, 6) * 0.7**stage for stage in range(3)]
    return vectors, codebooks


def error(vectors, codebooks, indices):
    total = sum(codebook[indices[:, stage]] for stage, codebook in enumerate(codebooks))
    return (vectors - total).square().sum(dim=1)


def test_width_of_all_paths_finds_the_best_of_all(stack):
    vectors, codebooks = stack
    found = error(vectors, codebooks, beam_search(vectors, codebooks, 25))
    every = [torch.tensor([path] * len(vectors)) for path in itertools.product(range(5), repeat=3)]
    best = torch.stack([error(vectors, codebooks, indices) for indices in every]).amin(dim=0)
    torch.testing.assert_close(found, best)


def test_width_one_is_the_greedy_choice(stack):
    vectors, codebooks = stack
    residual, greedy = vectors, []
    for codebook in codebooks:
        greedy.append(torch.cdist(residual, codebook).argmin(dim=1))
        residual = residual - codebook[greedy[-1]]
    assert torch.equal(beam_search(vectors, codebooks, 1), torch.stack(greedy, dim=1))


def test_wider_search_leaves_less_error(stack):
    vectors, codebooks = stack
    errors = [
        float(error(vectors, codebooks, beam_search(vectors, codebooks, w)).mean()) for w in (1, 2, 4, 25)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.97 * errors[0]


def test_chunks_do_not_change_the_result(stack, monkeypatch):
    vectors, codebooks = stack
    whole = beam_search(vectors, codebooks, 4)
    monkeypatch.setattr(search, "CHUNK_ELEMENTS", 7 * 4 * 5)
    assert torch.equal(beam_search(vectors, codebooks, 4), whole)


def test_no_vectors_give_no_codes(stack):
    _, codebooks = stack
    assert beam_search(torch.empty(0, 6), codebooks, 4).shape == (0, 3)


def test_stack_in_evaluation_searches_and_agrees_with_itself(stack):
    _, codebooks = stack
    stages = [EMAVectorQuantizer(6, 5) for _ in codebooks]
    for stage, codebook in zip(stages, codebooks, strict=True):
        stage.load_codebooks({"codebook": codebook})
    greedy, searching = ResidualQuantizer(stages).eval(), ResidualQuantizer(stages, search_width=4).eval()
    latents = torch.randn(2, 6, 30)
    output = searching(latents)
    assert torch.equal(output.codes, searching.encode(latents))
    torch.testing.assert_close(output.quantized, searching.decode(output.codes))
    assert searching.encode(latents, 2).shape == (2, 2, 30)
    lost = [(latents - q.decode(q.encode(latents))).square().mean() for q in (greedy, searching)]
    assert lost[1] < lost[0]


@pytest.mark.parametrize("width", [0, 65])
def test_widths_out_of_range_are_refused(width):
    with pytest.raises(ConfigError, match="search_width"):
        ResidualQuantizer([EMAVectorQuantizer(6, 5)], search_width=width)
