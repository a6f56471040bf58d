import itertools

import pytest
import torch

from audiocodec.errors import ConfigError, InputError
from audiocodec.quantizers import (
    EMAVectorQuantizer,
    ProductQuantizer,
    Quantizer,
    QuantizerConfig,
    ResidualQuantizer,
    build_quantizer,
)
from audiocodec.quantizers import residual as module
from audiocodec.quantizers.residual import beam_search
from audiocodec.quantizers.vector import VectorQuantizer

DIM = 8


def _latents(seed: int = 0, batch: int = 6, frames: int = 30) -> torch.Tensor:
    return torch.randn(batch, DIM, frames, generator=torch.Generator().manual_seed(seed))


def _stack(method: type[Quantizer] = EMAVectorQuantizer, stages: int = 4) -> ResidualQuantizer:
    torch.manual_seed(0)
    quantizer = ResidualQuantizer([method(DIM, 32) for _ in range(stages)])
    quantizer.initialize(_latents(99, batch=30))
    return quantizer.eval()


def _of_products() -> ResidualQuantizer:
    torch.manual_seed(0)
    product = ProductQuantizer.split(DIM, 2, lambda dim: EMAVectorQuantizer(dim, 16))
    inner = ResidualQuantizer([EMAVectorQuantizer(DIM, 16) for _ in range(3)])
    quantizer = ResidualQuantizer([product, EMAVectorQuantizer(DIM, 16), inner])
    quantizer.initialize(_latents(99, batch=30))
    return quantizer.eval()


def test_state_names_are_those_of_trained_weights() -> None:
    assert list(_stack(stages=2).state_dict()) == ["stages.0.codebook", "stages.1.codebook"]


def test_error_falls_with_every_stage() -> None:
    quantizer = _stack(stages=6)
    errors = [
        float((quantizer.decode(quantizer.encode(_latents(), n)) - _latents()).square().mean())
        for n in quantizer.prefixes
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.3 * errors[0]


def test_each_stage_codes_what_is_left() -> None:
    quantizer = _stack()
    residual = _latents()
    for row, codes in enumerate(quantizer.encode(_latents()).unbind(1)):
        codebook = quantizer.codebooks()[f"{row}.codebook"]
        distances = (residual[:, None] - codebook[None, :, :, None]).square().sum(2)
        assert torch.equal(codes, distances.argmin(1))
        residual = residual - codebook[codes].transpose(1, 2)


def test_prefixes_end_where_a_member_can_be_cut() -> None:
    quantizer = _of_products()
    assert quantizer.codebook_sizes == (16,) * 6
    assert quantizer.prefixes == (2, 3, 4, 5, 6)
    for illegal in (0, 1, 7):
        with pytest.raises(InputError, match=r"allowed are \(2, 3, 4, 5, 6\)"):
            quantizer.encode(_latents(), illegal)


@pytest.mark.parametrize("make", [_stack, _of_products], ids=["stack", "with_products_and_stacks"])
@pytest.mark.parametrize("training", [False, True])
def test_dropout_per_example_equals_each_example_alone(make: type, training: bool) -> None:
    quantizer = make()
    counts = torch.tensor([quantizer.prefixes[i % len(quantizer.prefixes)] for i in (0, 1, 2, 3, 0, 2)])
    latents = _latents()
    together = quantizer(latents, counts)
    for example, count in enumerate(counts.tolist()):
        alone = quantizer(latents[example : example + 1], count)
        torch.testing.assert_close(together.quantized[example], alone.quantized[0], atol=1e-6, rtol=1e-6)
        assert torch.equal(together.codes[example, :count], alone.codes[0])
        assert not together.codes[example, count:].any()
    expected = torch.stack(
        [quantizer(latents[i : i + 1], int(count)).loss for i, count in enumerate(counts)]
    ).mean()
    torch.testing.assert_close(together.loss, expected)
    if training:  # only active examples enter a stage's statistics
        before = quantizer.train().state_dict()["stages.1.codebook"].clone() if make is _stack else None
        quantizer(latents, torch.full((6,), quantizer.prefixes[0]))
        if before is not None:
            assert torch.equal(quantizer.state_dict()["stages.1.codebook"], before)


def test_dropout_gives_every_example_the_identity_gradient() -> None:
    quantizer = _of_products()
    latents = _latents().requires_grad_()
    direction = _latents(4)
    output = quantizer(latents, torch.tensor([2, 3, 4, 5, 6, 2]))
    (gradient,) = torch.autograd.grad((output.quantized * direction).sum(), latents)
    torch.testing.assert_close(gradient, direction, atol=1e-5, rtol=1e-5)


def test_every_stage_sends_its_commitment_loss_to_the_latents() -> None:
    """EnCodec's later stages do not, as their residual carries no gradient."""
    quantizer = _stack(stages=3)
    latents = _latents().requires_grad_()
    (gradient,) = torch.autograd.grad(quantizer(latents).loss, latents)
    codes = quantizer.encode(_latents())
    expected = torch.zeros_like(latents)
    for n in quantizer.prefixes:
        expected += 2 * (_latents() - quantizer.decode(codes[:, :n])) / latents.numel()
    torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-4)


def test_codebooks_of_all_stages_learn_by_gradient() -> None:
    quantizer = _stack(VectorQuantizer, 3)
    latents = _latents()
    quantizer(latents).loss.backward()
    residual = latents
    for stage in quantizer.stages:
        assert isinstance(stage, VectorQuantizer)
        codes = stage.encode(residual)
        codebook = stage.codebook.detach().clone().requires_grad_()
        chosen = codebook[codes[:, 0]].transpose(1, 2)
        (expected,) = torch.autograd.grad((residual - chosen).square().mean(), codebook)
        torch.testing.assert_close(stage.codebook.grad, expected, atol=1e-6, rtol=1e-4)
        residual = residual - stage.decode(codes)


def test_illegal_number_for_one_example_is_refused() -> None:
    with pytest.raises(InputError, match="num_quantizers is 9"):
        _stack()(_latents(), torch.tensor([1, 2, 3, 9, 1, 1]))


def test_stages_must_agree_in_width_and_exist() -> None:
    with pytest.raises(ConfigError, match=r"\[8, 4\]"):
        ResidualQuantizer([EMAVectorQuantizer(8, 4), EMAVectorQuantizer(4, 4)])
    with pytest.raises(ConfigError, match="no stages"):
        ResidualQuantizer([])


def test_loading_codebooks_replaces_all_or_none() -> None:
    quantizer = _stack(stages=3)
    codebooks = {name: c.clone() for name, c in quantizer.codebooks().items()}
    wrong = {name: c + 1 for name, c in codebooks.items()}
    wrong["2.codebook"] = wrong["2.codebook"][:5]
    with pytest.raises(InputError, match=r"codebook 2\.codebook"):
        quantizer.load_codebooks(wrong)
    assert all(torch.equal(c, codebooks[name]) for name, c in quantizer.codebooks().items())


def test_stages_begin_to_sample_from_the_last_to_the_first() -> None:
    torch.manual_seed(0)
    options = {"sample_top_k": 8, "sample_interval": 2, "sample_temperature": 5.0}
    stack = build_quantizer(QuantizerConfig("vector", 3, 32, search_width=1, options=options), 4)
    latents = torch.randn(2, 4, 100)
    stack.initialize(latents)
    drawn = []
    for _ in range(5):
        residual, differs = latents, []
        output = stack.train()(latents)
        for row, stage in enumerate(stack.stages):
            differs.append(not torch.equal(stage.encode(residual)[:, 0], output.codes[:, row]))
            residual = residual - stage.decode(output.codes[:, row : row + 1])
        drawn.append(differs)
    last, two, every = [False, False, True], [False, True, True], [True, True, True]
    assert drawn == [last, last, two, two, every]


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
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 7 * 4 * 5)
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
