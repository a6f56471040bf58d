import numpy as np
import pytest
import torch

from audiocodec.quantizers import build_method
from audiocodec.quantizers.transvq import LinearAttention, TransVectorQuantizer


def test_linear_attention_entry_by_entry() -> None:
    """Each output is the mean of values weighted by phi(q).phi(k), phi = elu + 1."""
    torch.manual_seed(0)
    attention = LinearAttention(5).double()
    entries = torch.randn(7, 5).double()
    q, k, v = (m(entries).detach().numpy() for m in (attention.query, attention.key, attention.value))

    def phi(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x + 1, np.exp(x))

    rows = []
    for i in range(7):
        weights = np.array([phi(q[i]) @ phi(k[j]) for j in range(7)])
        rows.append(sum(weights[j] * v[j] for j in range(7)) / (weights.sum() + 1e-6))
    expected = attention.out(torch.from_numpy(np.stack(rows)))
    torch.testing.assert_close(attention(entries), expected)


def test_parts_are_those_of_the_paper() -> None:
    quantizer = build_method(8, "transvq", 32, {})
    shapes = {name: tuple(p.shape) for name, p in quantizer.named_parameters()}
    assert shapes["into.weight"] == (256, 8)
    assert shapes["position"] == (32, 256)
    assert shapes["attention.1.query.weight"] == (256, 256)
    assert shapes["feed_forward.1.weight"] == (512, 256)
    assert shapes["back.weight"] == (8, 256)
    linear_without_bias = {
        "into",
        "back",
        "attention.1.query",
        "attention.1.key",
        "attention.1.value",
        "attention.1.out",
    }
    assert not {f"{name}.bias" for name in linear_without_bias} & set(shapes)
    assert "codebook" not in shapes


def test_entries_depend_on_all_others_with_attention_and_on_none_with_the_mlp() -> None:
    """So decoding picked entries alone would give another codebook."""
    for kind, others in (("attention", True), ("mlp", False)):
        torch.manual_seed(0)
        quantizer = build_method(4, "transvq", 8, {"map": kind, "width": 16})
        assert isinstance(quantizer, TransVectorQuantizer)
        before = quantizer.eval().codebooks()["codebook"].clone()
        quantizer.frozen[3] += 1
        changed = (quantizer.codebooks()["codebook"] - before).abs().amax(1) > 1e-7
        assert changed[3]
        assert bool(changed[[0, 1, 2, 4, 5, 6, 7]].all()) == others


def test_loss_is_that_of_vq_vae_on_the_mapped_codebook() -> None:
    torch.manual_seed(0)
    quantizer = build_method(4, "transvq", 8, {"width": 16}).train()
    latents = torch.randn(2, 4, 10)
    output = quantizer(latents)
    error = (output.quantized.detach() - latents).square().mean()
    assert output.loss.item() == pytest.approx(1.25 * error.item(), rel=1e-5)


def test_learns_a_moved_and_scaled_cloud_with_every_entry_in_use() -> None:
    for kind in ("attention", "mlp"):
        torch.manual_seed(0)
        quantizer = build_method(4, "transvq", 32, {"map": kind, "width": 32}).train()
        quantizer.initialize(torch.randn(8, 4, 50))
        optimizer = torch.optim.Adam(quantizer.parameters(), lr=1e-2)
        for step in range(120):
            latents = torch.randn(4, 4, 50, generator=torch.Generator().manual_seed(step))
            optimizer.zero_grad()
            quantizer(latents * (1 - step / 160) + step / 40).loss.backward()
            optimizer.step()
        latents = torch.randn(40, 4, 50, generator=torch.Generator().manual_seed(999))
        assert len(quantizer.eval().encode(latents * 0.25 + 3).unique()) >= 31
