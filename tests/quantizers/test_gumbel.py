from typing import Any

import pytest
import torch
import torch.nn.functional as F

from audiocodec.quantizers import build_method, codebook, gumbel
from audiocodec.quantizers.gumbel import GumbelQuantizer


def _latents(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 5, 30, generator=torch.Generator().manual_seed(seed))


def _quantizer(**options) -> GumbelQuantizer:
    torch.manual_seed(0)
    quantizer = build_method(5, "gumbel", 11, options)
    assert isinstance(quantizer, GumbelQuantizer)
    return quantizer


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("chunk_elements", [11 * 7, 1 << 22])
@pytest.mark.parametrize(("product", "tolerance"), [(torch.matmul, 1e-5), (gumbel.product, 1e-2)])
def test_training_step_against_torch_gumbel_softmax(
    hard: bool, chunk_elements: int, product: Any, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the noise held still, values and gradients are those of F.gumbel_softmax and taming's loss."""
    monkeypatch.setattr(codebook, "CHUNK_ELEMENTS", chunk_elements)
    monkeypatch.setattr(gumbel, "product", product)
    noise = -torch.empty(60, 11).exponential_(generator=torch.Generator().manual_seed(3)).log()
    latents = _latents()
    rows = latents.transpose(1, 2).reshape(-1, 5)

    def still(logits: torch.Tensor) -> torch.Tensor:  # the noise that belongs to these vectors
        firsts = torch.cdist(logits, quantizer.logits(rows)).argmin(1)
        return noise[firsts]

    quantizer = _quantizer(hard=hard, temperature=0.7).train()
    monkeypatch.setattr(gumbel, "gumbel_noise", still)
    z = rows.clone().requires_grad_()
    logits = quantizer.logits(z)
    soft = ((logits + noise) / 0.7).softmax(1)
    y = F.one_hot(soft.argmax(1), 11) - soft.detach() + soft if hard else soft
    p = logits.softmax(1)
    expected = y @ quantizer.codebook
    loss = 5e-4 * (p * torch.log(p * 11 + 1e-10)).sum(1).mean()
    mine = latents.clone().requires_grad_()
    output = quantizer(mine)
    torch.testing.assert_close(output.quantized.transpose(1, 2).reshape(-1, 5), expected)
    torch.testing.assert_close(output.loss, loss)
    assert torch.equal(output.codes.flatten(), soft.argmax(1))
    direction = torch.randn(60, 5, generator=torch.Generator().manual_seed(4))
    parameters = list(quantizer.parameters())
    total = (output.quantized.transpose(1, 2).reshape(-1, 5) * direction).sum() + output.loss
    ours = torch.autograd.grad(total, [mine, *parameters])
    theirs = torch.autograd.grad((expected * direction).sum() + loss, [z, *parameters])
    mine_as_rows = ours[0].transpose(1, 2).reshape(-1, 5)
    for found, wanted in zip((mine_as_rows, *ours[1:]), theirs, strict=True):
        assert (found - wanted).norm() <= tolerance * wanted.norm()


def test_recomputed_chunks_draw_the_same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of chunks computed anew must be those of the noise that the forward pass had."""
    monkeypatch.setattr(codebook, "CHUNK_ELEMENTS", 11 * 7)
    seen: list[torch.Tensor] = []
    original = gumbel.gumbel_noise

    def watched(logits: torch.Tensor) -> torch.Tensor:
        seen.append(original(logits))
        return seen[-1]

    monkeypatch.setattr(gumbel, "gumbel_noise", watched)
    output = _quantizer().train()(_latents())
    forward = len(seen)
    output.quantized.sum().backward()
    again = seen[forward:]
    assert forward == len(again) == 9
    assert all(any(torch.equal(a, b) for b in seen[:forward]) for a in again)


def test_evaluation_is_the_argmax_without_noise() -> None:
    quantizer = _quantizer(hard=False).eval()
    logits = quantizer.logits(_latents().transpose(1, 2))
    output = quantizer(_latents())
    assert torch.equal(output.codes[:, 0], logits.argmax(-1))
    assert torch.equal(output.quantized, quantizer.codebook[output.codes[:, 0]].transpose(1, 2))


def test_temperature_falls_by_equal_factors_to_its_last() -> None:
    quantizer = _quantizer(temperature=1.0, last_temperature=0.0625, temperature_steps=4).train()
    found = []
    for _ in range(6):
        found.append(quantizer.temperature())
        quantizer(_latents())
    assert found == pytest.approx([1, 0.5, 0.25, 0.125, 0.0625, 0.0625])


def test_starts_as_the_nearest_entry_of_kmeans() -> None:
    quantizer = _quantizer().eval()
    quantizer.initialize(_latents(1))
    rows = _latents().transpose(1, 2).reshape(-1, 5)
    nearest = torch.cdist(rows, quantizer.codebook.detach()).argmin(1)
    assert torch.equal(quantizer.encode(_latents()).flatten(), nearest)


def test_gumbel_noise_turns_argmax_into_a_draw_from_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    noise = gumbel.gumbel_noise(logits.expand(40000, 4), torch.Generator().manual_seed(0))
    drawn = (logits + noise).argmax(1).bincount(minlength=4) / 40000
    torch.testing.assert_close(drawn, logits.softmax(0), atol=0.01, rtol=0)
