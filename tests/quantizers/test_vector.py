import pytest
import torch

from audiocodec.quantizers import Parts, build_method
from audiocodec.quantizers.vector import VectorQuantizer


def _latents(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, 4, 40, generator=torch.Generator().manual_seed(seed))


def test_loss_and_gradients_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(4, 8, parts=Parts(commitment_weight=0.25, codebook_weight=1.0))
    quantizer.initialize(_latents(1))
    z = _latents().requires_grad_()
    output = quantizer(z)
    c = quantizer.codebook.detach().clone().requires_grad_()
    x = _latents().requires_grad_()
    q = c[output.codes[:, 0]].transpose(1, 2)
    expected = (x.detach() - q).square().mean() + 0.25 * (x - q.detach()).square().mean()
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    output.loss.backward()
    expected.backward()
    torch.testing.assert_close(z.grad, x.grad)
    torch.testing.assert_close(quantizer.codebook.grad, c.grad)


def test_against_vector_quantize_pytorch() -> None:
    peer_module = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    ours = VectorQuantizer(4, 8)
    ours.initialize(_latents(1))
    peer = peer_module.VectorQuantize(
        dim=4,
        codebook_size=8,
        learnable_codebook=True,
        ema_update=False,
        commitment_weight=1.0,
        commitment_use_cross_entropy_loss=False,
    )
    peer._codebook.embed.data.copy_(ours.codebook.detach()[None])
    z = _latents()
    output = ours.eval()(z)
    quantized, indices, _ = peer.eval()(z.transpose(1, 2))
    assert torch.equal(output.codes[:, 0], indices)
    torch.testing.assert_close(output.quantized.transpose(1, 2), quantized)


def test_starts_uniform_until_initialized() -> None:
    torch.manual_seed(0)
    quantizer = VectorQuantizer(4, 64)
    assert 0.9 / 64 < float(quantizer.codebook.detach().abs().max()) <= 1 / 64


def test_unused_entries_are_replaced_with_a_policy_and_stay_without() -> None:
    for policy, moved in (("none", False), ("random", True), ("anchor", True)):
        torch.manual_seed(0)
        quantizer = build_method(4, "vector", 16, {"dead_codes": policy, "dead_code_threshold": 0.9})
        entries = torch.randn(16, 4)
        entries[8:] += 50
        quantizer.load_codebooks({"codebook": entries})
        optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.5)
        for step in range(200):
            optimizer.zero_grad()
            quantizer.train()(_latents(step)).loss.backward()
            optimizer.step()
        assert (float(quantizer.codebook.detach().abs().max()) < 25) == moved, policy


def test_entries_move_before_use_so_that_gradients_are_those_of_the_entries_used() -> None:
    torch.manual_seed(0)
    quantizer = build_method(4, "vector", 8, {"dead_codes": "anchor"}).train()
    quantizer.usage.zero_()
    z = _latents()
    output = quantizer(z)
    q = quantizer.codebook.detach()[output.codes[:, 0]].transpose(1, 2)
    assert torch.equal(output.quantized, q)
    output.loss.backward()  # would complain of an entry changed in between
    expected = torch.zeros(8, 4).index_add_(
        0, output.codes.flatten(), (q - z).transpose(1, 2).reshape(-1, 4) * 2 / z.numel()
    )
    torch.testing.assert_close(quantizer.codebook.grad, expected)


def test_two_steps_against_the_rule_written_out() -> None:
    """p <- 0.99 p + 0.01 freq; c <- (1 - a) c + a anchor, anchor the closest vector to each entry."""
    torch.manual_seed(0)
    size = 12
    quantizer = build_method(3, "online", size, {}).train()
    entries = 2 * torch.randn(size, 3)
    quantizer.load_codebooks({"codebook": entries})
    quantizer.usage.zero_()
    p, c = torch.zeros(size), entries.clone()
    for _ in range(2):
        latents = torch.randn(2, 3, 25)
        z = latents.transpose(1, 2).reshape(-1, 3)
        a = torch.exp(-10 * size * p / 0.01 - 1e-3)[:, None]
        anchor = z[torch.cdist(c, z).argmin(1)]
        c = (1 - a) * c + a * anchor
        output = quantizer(latents)
        torch.testing.assert_close(quantizer.codebook.detach(), c)
        k = torch.cdist(z, c).argmin(1)
        assert torch.equal(output.codes.flatten(), k)
        p = 0.99 * p + 0.01 * k.bincount(minlength=size) / len(k)
        torch.testing.assert_close(quantizer.usage, p)


def test_nearly_all_entries_come_into_use_where_plain_learning_leaves_most_dead() -> None:
    used = {}
    for method in ("vector", "online"):
        torch.manual_seed(0)
        quantizer = build_method(4, method, 64, {}).train()
        optimizer = torch.optim.SGD(quantizer.parameters(), lr=1.0)
        for step in range(100):
            latents = 3 + torch.randn(4, 4, 100, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            quantizer(latents).loss.backward()
            optimizer.step()
        latents = 3 + torch.randn(20, 4, 100, generator=torch.Generator().manual_seed(99))
        used[method] = len(quantizer.eval().encode(latents).unique())
    assert used["online"] >= 55
    assert used["vector"] <= 16
