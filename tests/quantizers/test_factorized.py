import pytest
import torch
import torch.nn.functional as F

from audiocodec.quantizers import build_method
from audiocodec.quantizers.factorized import FactorizedVectorQuantizer


def _latents(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, 16, 40, generator=torch.Generator().manual_seed(seed))


def _quantizer(**options) -> FactorizedVectorQuantizer:
    torch.manual_seed(0)
    quantizer = build_method(16, "factorized", 32, options)
    assert isinstance(quantizer, FactorizedVectorQuantizer)
    return quantizer


def test_step_of_dac_written_out() -> None:
    """Chosen by cosine; losses and output by entries of their own length."""
    quantizer = _quantizer(codebook_dim=5)
    latents = _latents().requires_grad_()
    output = quantizer(latents)
    into, back, c = quantizer.projection.into, quantizer.projection.back, quantizer.codebook
    z_e = into(latents.transpose(1, 2))
    indices = (F.normalize(z_e, dim=-1) @ F.normalize(c, dim=-1).t()).argmax(-1)
    assert torch.equal(output.codes[:, 0], indices)
    z_q = c[indices]
    loss = F.mse_loss(z_q, z_e.detach()) + 0.25 * F.mse_loss(z_e, z_q.detach())
    passed = back(z_e + (z_q - z_e).detach()).transpose(1, 2)
    torch.testing.assert_close(output.loss, loss)
    torch.testing.assert_close(output.quantized, passed)
    direction = _latents(3)
    parameters = [latents, *quantizer.parameters()]
    ours = torch.autograd.grad(
        output.loss + (output.quantized * direction).sum(), parameters, retain_graph=True
    )
    theirs = torch.autograd.grad(loss + (passed * direction).sum(), parameters)
    for mine, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-4, rtol=1e-3)


def test_maps_are_weight_normalized() -> None:
    names = set(_quantizer().state_dict())
    assert {
        f"projection.{m}.parametrizations.weight.original{i}" for m in ("into", "back") for i in (0, 1)
    } <= names


def test_unit_length_uses_directions_throughout() -> None:
    quantizer = _quantizer(unit_length=True)
    lengths = quantizer.codebooks()["codebook"].norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(32))
    output = quantizer(_latents())
    inner = quantizer.inward(_latents().transpose(1, 2).reshape(-1, 16)).detach()
    entries = quantizer.codebooks()["codebook"]
    assert torch.equal(output.codes.flatten(), torch.cdist(inner, entries).argmin(1))


def test_codebook_is_never_wider_than_the_latents() -> None:
    assert build_method(4, "factorized", 32, {}).codebooks()["codebook"].shape == (32, 4)


def test_initialize_cuts_the_error() -> None:
    plain, fitted = _quantizer(), _quantizer()
    few = torch.randn(8, 4, 100)
    latents = torch.einsum("dc,bct->bdt", torch.randn(16, 4), few)
    fitted.initialize(latents)
    errors = [(q.decode(q.encode(latents)) - latents).square().mean().item() for q in (fitted, plain)]
    assert errors[0] < 0.5 * latents.var().item()
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("policy", ["random", "anchor"])
def test_dead_entries_are_replaced_in_the_narrow_space(policy: str) -> None:
    quantizer = _quantizer(dead_codes=policy).train()
    quantizer.initialize(_latents(9))
    quantizer.usage.fill_(1.0)
    quantizer.usage[5] = 0.0
    quantizer.steps.fill_(4)
    quantizer(_latents())
    inner = quantizer.inward(_latents().transpose(1, 2).reshape(-1, 16)).detach()
    distance = (quantizer.codebook.detach()[5] - inner).norm(dim=1).min()
    assert float(distance) < (1e-6 if policy == "random" else 0.05)
