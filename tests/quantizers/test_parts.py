"""Every part goes with every method that takes parts."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from audiocodec.quantizers import QUANTIZERS, QuantizerConfig, build_method, build_quantizer, codebook
from audiocodec.quantizers.parts import cosine_penalty, entropy, orthogonality, uniform_use
from audiocodec.quantizers.vector import VectorQuantizer

METHODS = [name for name, method in QUANTIZERS.items() if "parts" in method.option_groups]
OPTIONS = [
    {"estimator": "rotation"},
    {"estimator": "modified"},
    {"sample_top_k": 5, "sample_temperature": 0.5},
    {"orthogonality_weight": 10.0, "cosine_weight": 0.1, "entropy_weight": 0.1},
    {"dead_codes": "random"},
    {"dead_codes": "anchor"},
    {"dead_codes": "split"},
]


def test_every_part_with_every_method(subtests: pytest.Subtests) -> None:
    for method, options in product(METHODS, OPTIONS):
        with subtests.test(f"{method} {options}"):
            _check_part(method, options)


def _check_part(method: str, options: dict) -> None:
    cls = QUANTIZERS[method]
    if "dead_codes" in options and issubclass(cls, VectorQuantizer) and not cls.movable:
        return  # its entries cannot be placed one by one
    if method == "ema":
        options = {name: value for name, value in options.items() if name != "orthogonality_weight"}
    torch.manual_seed(0)
    quantizer = build_quantizer(QuantizerConfig(method, 3, 32, options=options), 8)
    latents = torch.randn(4, 8, 40)
    quantizer.initialize(latents)
    optimizer = torch.optim.SGD([*quantizer.parameters(), torch.zeros(1, requires_grad=True)], lr=0.01)
    for step in range(6):
        z = torch.randn(4, 8, 40, generator=torch.Generator().manual_seed(step)).requires_grad_()
        output = quantizer.train()(z)
        optimizer.zero_grad()
        (output.loss + output.quantized.square().mean()).backward()
        optimizer.step()
        assert math.isfinite(output.loss.item())
        assert bool(z.grad.isfinite().all())
        assert torch.equal(output.quantized.detach().isfinite(), torch.ones(4, 8, 40, dtype=torch.bool))
    quantizer.eval()
    error = (quantizer.decode(quantizer.encode(latents)) - latents).square().mean()
    assert error.item() < latents.square().mean().item()


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(5, 8), (20, 4), (8, 8)])
def test_orthogonality_by_its_formula(shape: tuple[int, int]) -> None:
    entries = torch.randn(shape, generator=_rng())
    unit = entries.double().numpy()
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    expected = np.linalg.norm(unit @ unit.T, "fro") ** 2 / shape[0] ** 2 - 1 / shape[0]
    assert float(orthogonality(entries)) == pytest.approx(expected, abs=1e-6)


def test_orthogonality_against_vector_quantize_pytorch() -> None:
    peer = pytest.importorskip("vector_quantize_pytorch.vector_quantize_pytorch")
    entries = torch.randn(12, 5, generator=_rng())
    torch.testing.assert_close(orthogonality(entries), peer.orthogonal_loss_fn(entries[None]))
    torch.testing.assert_close(orthogonality(torch.eye(4)), torch.tensor(0.0))


def test_cosine_penalty_by_its_formula() -> None:
    a, b = torch.randn(9, 4, generator=_rng()), torch.randn(9, 4, generator=_rng(1))
    expected = np.mean(
        [1 - x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a.numpy(), b.numpy(), strict=True)]
    )
    assert float(cosine_penalty(a, b)) == pytest.approx(expected, rel=1e-5)
    assert float(cosine_penalty(a, 3 * a)) == pytest.approx(0, abs=1e-6)


def test_entropy_of_known_distributions_and_a_finite_gradient_at_zero() -> None:
    p = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]]).requires_grad_()
    values = entropy(p)
    assert values.tolist() == pytest.approx([math.log(4), math.log(2), 0.0])
    values.sum().backward()
    assert bool(p.grad.isfinite().all())


@pytest.mark.parametrize("chunk_elements", [7 * 11, 1 << 22])
def test_uniform_use_by_brute_force_with_its_gradient(
    chunk_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codebook, "CHUNK_ELEMENTS", chunk_elements)
    z, c = torch.randn(40, 3, generator=_rng()), torch.randn(11, 3, generator=_rng(1))
    results = []
    for brute in (False, True):
        x, y = z.clone().requires_grad_(), c.clone().requires_grad_()
        if brute:
            p = (-torch.cdist(x, y).square() / 0.7).softmax(1)
            mean = p.mean(0)
            value = -torch.special.xlogy(p, p).sum(1).mean() + 0.9 * torch.special.xlogy(mean, mean).sum()
        else:
            value = uniform_use(x, y, 0.7, 0.9)
        results.append((value.detach(), *torch.autograd.grad(value, (x, y))))
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


def test_uniform_use_is_least_for_certain_and_even_choices() -> None:
    c = 10 * torch.eye(4)
    assert float(uniform_use(c, c, 0.1)) == pytest.approx(-math.log(4), abs=1e-4)
    assert float(uniform_use(c[:1].repeat(4, 1), c, 0.1)) == pytest.approx(0, abs=1e-4)


def test_weights_of_regularizers_reach_the_loss() -> None:
    torch.manual_seed(0)
    plain = build_method(4, "vector", 8, {})
    latents = torch.randn(2, 4, 30)
    plain.initialize(latents)
    options = {"orthogonality_weight": 10.0, "cosine_weight": 2.0, "entropy_weight": 0.5}
    regular = build_method(4, "vector", 8, options)
    regular.load_state_dict(plain.state_dict())
    output = regular(latents)
    entries = regular.codebook.detach()
    rows = latents.transpose(1, 2).reshape(-1, 4)
    extra = 10 * orthogonality(entries) + 2 * cosine_penalty(rows, entries[output.codes.flatten()])
    extra = extra + 0.5 * uniform_use(rows, entries, 1.0)
    torch.testing.assert_close(output.loss, plain(latents).loss + extra)
