"""What every method must do: alone, in a stack, and in a stack with products and scales."""

import copy
import functools
import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from audiocodec.errors import InputError
from audiocodec.quantizers import QUANTIZERS, ProductQuantizer, Quantizer, ResidualQuantizer
from audiocodec.quantizers.multiscale import StridedQuantizer

DIM, SIZE, BATCH, FRAMES = 16, 64, 3, 20


def _alone(method: str, dim: int = DIM) -> Quantizer:
    options = {"num_quantizers": 3} if method == "residual_fsq" else {}
    return QUANTIZERS[method](dim, SIZE, **options)


def _stack(method: str) -> Quantizer:
    return ResidualQuantizer([_alone(method) for _ in range(4)])


def _mixed(method: str) -> Quantizer:
    product = ProductQuantizer.split(DIM, 2, lambda dim: _alone(method, dim))
    return ResidualQuantizer([StridedQuantizer(_alone(method), 3), product, _alone(method)])


SHAPES = {"alone": _alone, "stack": _stack, "mixed": _mixed}


def _latents(seed: int = 0, frames: int = FRAMES, batch: int = BATCH) -> Tensor:
    return torch.randn(batch, DIM, frames, generator=torch.Generator().manual_seed(seed))


@functools.cache
def _trained(method: str, shape: str) -> Quantizer:
    torch.manual_seed(1)
    quantizer = SHAPES[shape](method)
    quantizer.initialize(_latents(seed=9, batch=20))
    optimizer = torch.optim.SGD([*quantizer.parameters(), torch.nn.Parameter(torch.zeros(1))], lr=1e-2)
    for seed in range(3):
        output = quantizer.train()(_latents(seed))
        optimizer.zero_grad()
        total = output.loss + output.quantized.square().mean()
        if total.requires_grad:
            total.backward()
        optimizer.step()
    optimizer.zero_grad()
    return quantizer.eval()


def of_every_quantizer(check: Callable[[Quantizer], None]) -> Callable[[pytest.Subtests], None]:
    """A test that checks every quantizer, started, after three training steps, in evaluation mode."""

    def test(subtests: pytest.Subtests) -> None:
        for method, shape in itertools.product(sorted(QUANTIZERS), SHAPES):
            with subtests.test(f"{method} {shape}"):
                check(copy.deepcopy(_trained(method, shape)))

    return test


@of_every_quantizer
def test_decode_of_encode_is_what_forward_gives(quantizer: Quantizer) -> None:
    for prefix in quantizer.prefixes:
        output = quantizer(_latents(), prefix)
        codes = quantizer.encode(_latents(), prefix)
        assert torch.equal(output.codes, codes)
        assert torch.equal(quantizer.decode(codes), output.quantized)


@of_every_quantizer
def test_codes_have_the_promised_shape_type_and_range(quantizer: Quantizer) -> None:
    codes = quantizer.encode(_latents())
    assert codes.dtype == torch.int64
    assert codes.shape == (BATCH, len(quantizer.codebook_sizes), FRAMES)
    for row, size in enumerate(quantizer.codebook_sizes):
        assert 0 <= int(codes[:, row].min()) <= int(codes[:, row].max()) < size


@of_every_quantizer
def test_prefixes_are_the_first_rows(quantizer: Quantizer) -> None:
    codes = quantizer.encode(_latents())
    for prefix in quantizer.prefixes:
        assert torch.equal(quantizer.encode(_latents(), prefix), codes[:, :prefix])
        assert quantizer.decode(codes[:, :prefix]).shape == (BATCH, DIM, FRAMES)


@of_every_quantizer
def test_illegal_prefixes_and_codes_are_refused(quantizer: Quantizer) -> None:
    codes = quantizer.encode(_latents())
    rows = len(quantizer.codebook_sizes)
    for illegal in set(range(-1, rows + 2)) - set(quantizer.prefixes):
        for call in (quantizer.encode, quantizer.forward, quantizer.bits_per_frame):
            with pytest.raises(InputError, match=f"num_quantizers is {illegal}; allowed are"):
                call(*([illegal] if call == quantizer.bits_per_frame else [_latents(), illegal]))
        if illegal >= 0:
            with pytest.raises(InputError, match="allowed are"):
                quantizer.decode(codes[:, :1].repeat(1, illegal, 1))
    for row, size in enumerate(quantizer.codebook_sizes):
        for value in (-1, size):
            wrong = codes.clone()
            wrong[0, row, 3] = value
            with pytest.raises(
                InputError, match=rf"codes\[:, {row}\] holds {value}; allowed are 0 to {size - 1}"
            ):
                quantizer.decode(wrong)
    with pytest.raises(InputError, match="expected int64"):
        quantizer.decode(codes.float())
    with pytest.raises(InputError, match=rf"expected \[B, {DIM}, T\]"):
        quantizer.encode(torch.zeros(2, DIM + 1, 5))


@of_every_quantizer
def test_gradient_reaches_every_latent(quantizer: Quantizer) -> None:
    for training, prefix in itertools.product((False, True), (quantizer.prefixes[0], quantizer.prefixes[-1])):
        latents = _latents().requires_grad_()
        output = quantizer.train(training)(latents, prefix)
        direction = torch.randn(output.quantized.shape, generator=torch.Generator().manual_seed(5))
        (gradient,) = torch.autograd.grad((output.quantized * direction).sum(), latents)
        assert bool(gradient.isfinite().all())
        assert float(gradient.norm(dim=1).min()) > 0


@of_every_quantizer
def test_gradient_of_straight_through_methods_is_the_identity(quantizer: Quantizer) -> None:
    if not quantizer.passes_identity:
        return  # passes another gradient on purpose
    latents = _latents().requires_grad_()
    direction = torch.randn(latents.shape, generator=torch.Generator().manual_seed(5))
    (gradient,) = torch.autograd.grad((quantizer(latents).quantized * direction).sum(), latents)
    torch.testing.assert_close(gradient, direction, atol=1e-5, rtol=1e-5)


@of_every_quantizer
def test_every_parameter_learns(quantizer: Quantizer) -> None:
    parameters = dict(quantizer.named_parameters())
    output = quantizer.train()(_latents(frames=200))
    total = output.loss + (output.quantized * _latents(7, frames=200)).sum()
    if not total.requires_grad:
        assert not parameters
        return
    total.backward()
    still = [name for name, p in parameters.items() if p.grad is None or not bool(p.grad.any())]
    assert still == []


@of_every_quantizer
def test_loss_is_a_finite_scalar_and_metrics_are_plain(quantizer: Quantizer) -> None:
    output = quantizer.train()(_latents())
    assert output.loss.shape == ()
    assert math.isfinite(output.loss.item())
    for name, value in output.metrics.items():
        assert value.shape == (), name
        assert not value.requires_grad, name
        assert math.isfinite(float(value)), name


@of_every_quantizer
def test_encoding_does_not_depend_on_the_batch(quantizer: Quantizer) -> None:
    codes = quantizer.encode(_latents())
    for example in range(BATCH):
        assert torch.equal(quantizer.encode(_latents()[example : example + 1]), codes[example : example + 1])
    assert torch.equal(quantizer.encode(_latents()), codes)


@of_every_quantizer
def test_evaluation_changes_nothing(quantizer: Quantizer) -> None:
    before = {
        name: tensor.clone() for name, tensor in [*quantizer.named_buffers(), *quantizer.named_parameters()]
    }
    quantizer(_latents(3))
    quantizer.decode(quantizer.encode(_latents(4)))
    after = dict([*quantizer.named_buffers(), *quantizer.named_parameters()])
    assert all(torch.equal(before[name], after[name]) for name in before)


@of_every_quantizer
def test_codebooks_travel_and_change_what_is_decoded(quantizer: Quantizer) -> None:
    codebooks = {name: codebook.clone() for name, codebook in quantizer.codebooks().items()}
    if not codebooks:
        with pytest.raises(InputError, match="this quantizer has"):
            quantizer.load_codebooks({"codebook": torch.zeros(3, 3)})
        return
    codes = quantizer.encode(_latents())
    before = quantizer.decode(codes)
    quantizer.load_codebooks({name: codebook + 0.25 for name, codebook in codebooks.items()})
    assert not torch.allclose(quantizer.decode(codes), before, atol=1e-3)
    for name, codebook in quantizer.codebooks().items():
        torch.testing.assert_close(codebook, codebooks[name] + 0.25, atol=1e-5, rtol=1e-5)
    quantizer.load_codebooks(codebooks)
    torch.testing.assert_close(quantizer.decode(codes), before, atol=1e-5, rtol=1e-5)


@of_every_quantizer
def test_codebooks_that_do_not_fit_are_refused_and_change_nothing(quantizer: Quantizer) -> None:
    codebooks = {name: codebook.clone() for name, codebook in quantizer.codebooks().items()}
    if not codebooks:
        return
    last = sorted(codebooks)[-1]
    for wrong, message in (
        ({name: c for name, c in codebooks.items() if name != last}, "are named"),
        ({**codebooks, "other": torch.zeros(1, 1)}, "are named"),
        ({**codebooks, last: codebooks[last][:-1]}, f"codebook {last} is"),
        ({**codebooks, last: codebooks[last] * math.nan}, "not finite"),
    ):
        with pytest.raises(InputError, match=message):
            quantizer.load_codebooks(wrong)
    for name, codebook in quantizer.codebooks().items():
        assert torch.equal(codebook, codebooks[name])


def test_weights_travel_through_a_state_dict(subtests: pytest.Subtests) -> None:
    for method, shape in itertools.product(sorted(QUANTIZERS), SHAPES):
        with subtests.test(f"{method} {shape}"):
            quantizer, other = _trained(method, shape), SHAPES[shape](method)
            other.eval().encode(_latents())  # anything kept from earlier weights would show
            other.load_state_dict(quantizer.state_dict())
            codes = quantizer.encode(_latents())
            assert torch.equal(other.encode(_latents()), codes)
            assert torch.equal(other.decode(codes), quantizer.decode(codes))


@of_every_quantizer
def test_bits_per_frame(quantizer: Quantizer) -> None:
    for prefix in quantizer.prefixes:
        rows = zip(quantizer.codebook_sizes[:prefix], quantizer.strides[:prefix], strict=True)
        expected = sum(math.log(size) / math.log(2) / stride for size, stride in rows)
        assert quantizer.bits_per_frame(prefix) == pytest.approx(expected, rel=1e-12)
    assert quantizer.bits_per_frame() == quantizer.bits_per_frame(quantizer.prefixes[-1])


@of_every_quantizer
def test_hardly_any_frames(quantizer: Quantizer) -> None:
    for frames in (0, 1):
        fresh, latents = copy.deepcopy(quantizer), _latents(frames=frames)
        output = fresh(latents)
        assert output.codes.shape == (BATCH, len(fresh.codebook_sizes), frames)
        assert torch.equal(fresh.decode(fresh.encode(latents)), output.quantized)
        trained = fresh.train()(latents)
        assert math.isfinite(trained.loss.item())
        assert all(bool(tensor.isfinite().all()) for _, tensor in fresh.named_buffers())


@of_every_quantizer
def test_half_precision_latents(quantizer: Quantizer) -> None:
    latents = _latents().bfloat16()
    output = quantizer(latents)
    assert output.quantized.dtype == torch.bfloat16
    assert torch.equal(output.codes, quantizer.encode(latents))
    assert torch.equal(output.codes, quantizer.encode(latents.float()))
    assert torch.equal(quantizer.decode(output.codes).bfloat16(), output.quantized)
    assert math.isfinite(quantizer.train()(latents).loss.item())


@of_every_quantizer
def test_autocast_does_not_touch_codes(quantizer: Quantizer) -> None:
    codes = quantizer.encode(_latents())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quantizer.encode(_latents()), codes)
        assert torch.equal(quantizer(_latents()).codes, codes)
        inside = quantizer.decode(codes)
    assert torch.equal(inside, quantizer.decode(codes))


@of_every_quantizer
def test_reconstructs_better_than_nothing(quantizer: Quantizer) -> None:
    latents = _latents(seed=9, batch=20)
    error = (quantizer.decode(quantizer.encode(latents)) - latents).square().mean()
    assert error.item() < 0.95 * float(latents.square().mean())


@of_every_quantizer
def test_training_steps_repeat_from_a_seed(quantizer: Quantizer) -> None:
    state = {name: tensor.clone() for name, tensor in quantizer.named_buffers()}
    parameters = {name: tensor.detach().clone() for name, tensor in quantizer.named_parameters()}
    results = []
    for _ in range(2):
        with torch.no_grad():
            for name, tensor in quantizer.named_buffers():
                tensor.copy_(state[name])
            for name, tensor in quantizer.named_parameters():
                tensor.copy_(parameters[name])
        torch.manual_seed(3)
        output = quantizer.train()(_latents())
        results.append((output.codes, output.loss.detach(), output.quantized.detach()))
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)
