import math

import pytest
import torch

from audiocodec.quantizers import build_method, lfq
from audiocodec.quantizers.lfq import LookupFreeQuantizer


def _latents(dim: int, seed: int = 0) -> torch.Tensor:
    return 0.02 * torch.randn(4, dim, 50, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("bits", [1, 4, 7])
def test_against_vector_quantize_pytorch(bits: int, spherical: bool) -> None:
    peer_module = pytest.importorskip("vector_quantize_pytorch")
    if spherical and bits == 1:
        pytest.skip("a sphere of one dimension has no inside to pass a gradient")
    peer = peer_module.LFQ(
        dim=bits,
        entropy_loss_weight=0.3,
        diversity_gamma=0.8,
        commitment_loss_weight=0.25,
        spherical=spherical,
    ).train()
    ours = LookupFreeQuantizer(
        bits, 1 << bits, entropy_weight=0.3, diversity=0.8, commitment_weight=0.25, spherical=spherical
    ).train()
    mine, theirs = (_latents(bits).requires_grad_() for _ in range(2))
    output = ours(mine)
    quantized, indices, loss = peer(theirs.transpose(1, 2))
    assert torch.equal(output.codes[:, 0], indices.long())
    torch.testing.assert_close(output.quantized, quantized.transpose(1, 2))
    torch.testing.assert_close(output.loss, loss, atol=1e-4, rtol=1e-3)
    output.loss.backward()
    loss.backward()
    # Its logarithm is cut at 1e-5, so rare words pull less there; the brute force below is exact.
    assert float((mine.grad - theirs.grad).norm() / theirs.grad.norm()) < 0.05


def test_entropy_by_brute_force_over_all_entries() -> None:
    quantizer = LookupFreeQuantizer(5, 32, inverse_temperature=3.0, diversity=0.7)
    inner = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    entries = quantizer.decode(torch.arange(32)[None, None])[0].t()
    logits = 2 * 3.0 * inner.double() @ entries.double().t()
    p, mean = logits.softmax(1), logits.softmax(1).mean(0)
    expected = (-(p * logits.log_softmax(1)).sum(1).mean() + 0.7 * (mean * mean.log()).sum()).float()
    found = quantizer.entropy_penalty(inner)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(value, inner)[0] for value in (found, expected)]
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)


def test_large_codebooks_bound_the_joint_entropy_by_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    quantizer = LookupFreeQuantizer(8, 256, inverse_temperature=1.0)
    inner = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    whole = quantizer.entropy_penalty(inner)
    monkeypatch.setattr(lfq, "GROUP_BITS", 3)
    assert float(quantizer.entropy_penalty(inner)) <= float(whole) + 1e-6
    wide = LookupFreeQuantizer(20, 1 << 20)
    assert math.isfinite(wide(torch.randn(1, 20, 9)).loss.item())


def test_index_is_the_word_of_signs_first_channel_highest() -> None:
    quantizer = LookupFreeQuantizer(3, 8)
    latents = torch.tensor([[1.0, -1.0, 2.0], [-0.5, -0.5, 0.5]]).t()[None]
    assert quantizer.encode(latents).tolist() == [[[0b101, 0b001]]]


def test_spherical_entries_have_length_one() -> None:
    quantizer = build_method(6, "lfq", 64, {"spherical": True})
    entries = quantizer.decode(torch.arange(64)[None, None])[0]
    torch.testing.assert_close(entries.norm(dim=0), torch.ones(64))


def test_certain_even_choices_cost_least() -> None:
    quantizer = LookupFreeQuantizer(3, 8, entropy_weight=1.0, commitment_weight=0.0)
    corners = quantizer.decode(torch.arange(8)[None, None])
    assert quantizer(corners).loss.item() == pytest.approx(-math.log(8), abs=1e-4)
    assert quantizer(corners[:, :, :1]).loss.item() == pytest.approx(0, abs=1e-4)
