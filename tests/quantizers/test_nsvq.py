import math

import pytest
import torch

from audiocodec.quantizers import build_method, codebook
from audiocodec.quantizers.nsvq import Kernel, NonStationaryVectorQuantizer


def _latents(seed: int = 0, batch: int = 3) -> torch.Tensor:
    return 5 + torch.randn(batch, 3, 25, generator=torch.Generator().manual_seed(seed))


def _quantizer(**options) -> NonStationaryVectorQuantizer:
    torch.manual_seed(0)
    quantizer = build_method(3, "nsvq", 14, {"tau": 2.0, "strength": 0.05, **options})
    assert isinstance(quantizer, NonStationaryVectorQuantizer)
    quantizer.initialize(_latents(9, batch=20))
    return quantizer.train()


def _brute_force_weights(z: torch.Tensor, c: torch.Tensor, kernel: Kernel, tau: float) -> torch.Tensor:
    """One weight at a time, 1 for the winner, as the paper's equation 17 and the authors' code have it."""
    weights = torch.zeros(len(z), len(c))
    for i, vector in enumerate(z.double()):
        distances = [float((vector - entry).square().sum()) for entry in c.double()]
        winner = min(range(len(c)), key=lambda k: distances[k])
        total = sum(math.exp(-d / tau) for d in distances)
        for k, d in enumerate(distances):
            if k == winner:
                weights[i, k] = 1.0
            elif kernel.weighting == "paper":
                weights[i, k] = 0.5 * math.exp(-d / tau)
            else:
                weights[i, k] = min(1.0, kernel.strength * len(c) * math.exp(-d / tau) / total)
    return weights


@pytest.mark.parametrize("weighting", ["paper", "code"])
@pytest.mark.parametrize("chunk_elements", [14 * 9, 1 << 22])
def test_loss_and_gradient_by_brute_force(
    weighting: str, chunk_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codebook, "CHUNK_ELEMENTS", chunk_elements)
    quantizer = _quantizer(weighting=weighting)
    latents = _latents()
    z = latents.transpose(1, 2).reshape(-1, 3)
    c = quantizer.codebook.detach().clone().requires_grad_()
    w = _brute_force_weights(z, c.detach(), quantizer.kernel, 2.0)
    pulled = (w[:, :, None] * (z[:, None] - c[None]).square()).mean(2).sum(1).mean()
    commitment = 0.25 * (z - c.detach()[w.argmax(1)]).square().mean()
    output = quantizer(latents)
    assert output.loss.item() == pytest.approx((pulled + commitment).item(), rel=1e-4)
    output.loss.backward()
    pulled.backward()
    torch.testing.assert_close(quantizer.codebook.grad, c.grad, atol=1e-5, rtol=1e-3)


def test_strong_weights_are_cut_at_one() -> None:
    quantizer = _quantizer(strength=1.0, tau=100.0)
    weights = quantizer.kernel.weights(torch.zeros(2, 3), torch.zeros(14, 3), 100.0)
    torch.testing.assert_close(weights, torch.ones(2, 14))


def test_width_falls_by_steps_to_its_floor() -> None:
    quantizer = _quantizer(tau_every=2, tau_decay=0.5, tau_floor=0.3)
    widths = []
    for step in range(9):
        widths.append(quantizer.tau())
        quantizer(_latents(step))
    assert widths == [2, 2, 1, 1, 0.5, 0.5, 0.3, 0.3, 0.3]


def test_width_stays_without_epochs() -> None:
    quantizer = _quantizer(tau_every=0, tau_decay=0.9)
    for step in range(5):
        quantizer(_latents(step))
    assert quantizer.tau() == 2


def test_paper_defaults() -> None:
    assert (Kernel().tau, Kernel().tau_decay, Kernel().strength, Kernel().tau_floor) == (1.0, 0.9, 0.01, 1e-8)


def test_kernel_is_off_in_evaluation() -> None:
    output = _quantizer().eval()(_latents())
    assert "kernel_loss" not in output.metrics


@pytest.mark.parametrize("chunk_elements", [14 * 9, 1 << 22])
def test_injected_gradient_reaches_unused_entries_by_weight(
    chunk_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codebook, "CHUNK_ELEMENTS", chunk_elements)
    quantizer = _quantizer(inject=True, estimator="straight_through")
    latents = _latents()
    direction = torch.randn(latents.shape, generator=torch.Generator().manual_seed(3))
    output = quantizer(latents)
    assert torch.equal(output.quantized, quantizer.decode(output.codes))
    (found,) = torch.autograd.grad((output.quantized * direction).sum(), quantizer.codebook)
    z = latents.transpose(1, 2).reshape(-1, 3)
    w = _brute_force_weights(z, quantizer.codebook.detach(), quantizer.kernel, 2.0)
    w = w * (w < 1)  # the winner has weight 1
    expected = w.t() @ direction.transpose(1, 2).reshape(-1, 3)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


def test_entries_follow_a_drift_that_leaves_plain_entries_behind() -> None:
    used = {}
    for method, options in (("vector", {}), ("nsvq", {"strength": 0.1, "tau": 4.0, "tau_every": 50})):
        torch.manual_seed(0)
        quantizer = build_method(3, method, 32, options)
        quantizer.initialize(_latents(99, batch=20))
        optimizer = torch.optim.SGD(quantizer.train().parameters(), lr=5.0)
        for step in range(200):
            optimizer.zero_grad()
            quantizer(_latents(step) + min(0.1 * step, 10)).loss.backward()
            optimizer.step()
        used[method] = len(quantizer.eval().encode(_latents(1000, batch=40) + 10).unique())
    assert used["vector"] < 0.5 * used["nsvq"]
