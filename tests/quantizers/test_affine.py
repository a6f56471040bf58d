import pytest
import torch

from audiocodec.quantizers import build_method


def _latents(seed: int = 0) -> torch.Tensor:
    return torch.randn(4, 3, 60, generator=torch.Generator().manual_seed(seed))


def test_entries_by_the_formula() -> None:
    torch.manual_seed(0)
    quantizer = build_method(3, "affine", 8, {"affine_rate": 2.0})
    raw = quantizer.codebook.detach().clone()
    with torch.no_grad():
        quantizer.scale.copy_(torch.tensor([0.5, 0.0, -0.2]))
        quantizer.shift.copy_(torch.tensor([1.0, 0.0, 2.0]))
    expected = raw * torch.tensor([2.0, 1.0, 0.6]) + torch.tensor([2.0, 0.0, 4.0])
    torch.testing.assert_close(quantizer.entries().detach(), expected)


def test_statistics_give_entries_mean_and_variance_of_the_latents() -> None:
    torch.manual_seed(0)
    quantizer = build_method(3, "affine", 64, {"statistics": True}).train()
    for step in range(80):
        quantizer(5 + 3 * _latents(step))
    entries = quantizer.entries().detach()
    assert entries.mean(0).tolist() == pytest.approx([5.0] * 3, abs=0.3)
    assert entries.std(0, correction=0).tolist() == pytest.approx([3.0] * 3, abs=0.3)


def test_unused_entries_move_with_the_others() -> None:
    moved = {}
    for method in ("vector", "affine"):
        torch.manual_seed(0)
        quantizer = build_method(3, method, 16, {})
        entries = torch.randn(16, 3)
        entries[8:] += 30  # never the nearest
        with torch.no_grad():
            quantizer.codebook.copy_(entries)
        optimizer = torch.optim.SGD(quantizer.train().parameters(), lr=0.1)
        for step in range(20):
            optimizer.zero_grad()
            quantizer(_latents(step) - 2).loss.backward()
            optimizer.step()
        moved[method] = float((quantizer.codebooks()["codebook"][8:] - entries[8:]).norm(dim=1).min())
    assert moved["vector"] == 0
    assert moved["affine"] > 0.1


def test_dead_entries_are_placed_where_they_are_wanted() -> None:
    torch.manual_seed(0)
    quantizer = build_method(3, "affine", 8, {"dead_codes": "random"})
    with torch.no_grad():
        quantizer.scale.fill_(0.7)
        quantizer.shift.fill_(-2.0)
    places = torch.randn(2, 3)
    quantizer.place(torch.tensor([1, 4]), places)
    torch.testing.assert_close(quantizer.entries().detach()[[1, 4]], places)
