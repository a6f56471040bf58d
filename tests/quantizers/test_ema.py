from dataclasses import replace

import numpy as np
import pytest
import torch

from audiocodec.quantizers import EMAVectorQuantizer
from audiocodec.quantizers.dead_codes import CHECK_EVERY
from audiocodec.quantizers.parts import Parts


def _parts(**options) -> Parts:
    return replace(EMAVectorQuantizer.option_groups["parts"], **options)


def _latents(seed: int, batch: int = 8, dim: int = 4, frames: int = 32) -> torch.Tensor:
    return torch.randn(batch, dim, frames, generator=torch.Generator().manual_seed(seed))


def test_buffers_keep_the_names_that_trained_weights_use() -> None:
    quantizer = EMAVectorQuantizer(4, 8)
    assert list(dict(quantizer.named_buffers())) == ["codebook", "cluster_sum", "cluster_size", "steps"]
    assert list(quantizer.state_dict()) == ["codebook"]
    assert list(quantizer.parameters()) == []


def test_first_training_step_starts_from_kmeans() -> None:
    torch.manual_seed(0)
    centers = 10 * torch.eye(4)
    latents = centers.repeat(1, 16).reshape(1, 4, 64) + 0.01 * torch.randn(1, 4, 64)
    quantizer = EMAVectorQuantizer(4, 4)
    output = quantizer.train()(latents)
    assert float((output.quantized - latents).square().mean()) < 1e-3
    assert int(quantizer.steps) == 2


def test_evaluation_before_training_does_not_start() -> None:
    quantizer = EMAVectorQuantizer(4, 8).eval()
    before = quantizer.codebook.clone()
    quantizer(_latents(0))
    assert torch.equal(quantizer.codebook, before)
    assert int(quantizer.steps) == 0


def test_moving_average_against_numpy() -> None:
    torch.manual_seed(0)
    decay, size = 0.9, 6
    quantizer = EMAVectorQuantizer(4, size, ema_decay=decay, parts=_parts(dead_codes="none"))
    codebook = _latents(99)[0, :, :size].t().contiguous()
    quantizer.load_codebooks({"codebook": codebook})
    c = codebook.double().numpy()
    m, n = c.copy(), np.ones(size)
    for seed in range(7):
        latents = _latents(seed)
        z = latents.permute(0, 2, 1).reshape(-1, 4).double().numpy()
        k = ((z[:, None] - c[None]) ** 2).sum(-1).argmin(1)
        n = decay * n + (1 - decay) * np.bincount(k, minlength=size)
        m = decay * m + (1 - decay) * np.stack([z[k == j].sum(0) for j in range(size)])
        output = quantizer.train()(latents)
        assert np.array_equal(output.codes.numpy().reshape(-1), k)  # chosen by the codebook before its step
        c = m / n[:, None]
        np.testing.assert_allclose(quantizer.codebook.numpy(), c, atol=1e-5)
        np.testing.assert_allclose(quantizer.cluster_size.numpy(), n, rtol=1e-5)


def test_moving_average_against_vector_quantize_pytorch() -> None:
    peer_module = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    codebook = torch.randn(8, 4)
    peer = peer_module.VectorQuantize(
        dim=4, codebook_size=8, decay=0.95, threshold_ema_dead_code=0, commitment_weight=1.0, eps=1e-9
    )
    peer._codebook.embed.data.copy_(codebook[None])
    peer._codebook.embed_avg.data.copy_(codebook[None])
    peer._codebook.cluster_size.data.fill_(1.0)
    ours = EMAVectorQuantizer(4, 8, ema_decay=0.95, parts=_parts(dead_codes="none"))
    ours.load_codebooks({"codebook": codebook})
    for seed in range(5):
        latents = _latents(seed)
        mine = ours.train()(latents)
        quantized, indices, loss = peer.train()(latents.transpose(1, 2))
        assert torch.equal(mine.codes[:, 0], indices)
        torch.testing.assert_close(mine.quantized.transpose(1, 2), quantized, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(mine.loss, loss.squeeze(), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(ours.codebook, peer._codebook.embed[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("policy", ["random", "anchor"])
def test_replaced_entries_survive_the_following_steps(policy: str) -> None:
    torch.manual_seed(0)
    quantizer = EMAVectorQuantizer(4, 16, parts=_parts(dead_codes=policy)).train()
    codebook = torch.randn(16, 4)
    codebook[3:] += 100.0  # far from all latents: never chosen
    quantizer.load_codebooks({"codebook": codebook})
    quantizer.cluster_size[3:] = 1e-3
    quantizer.cluster_sum[3:] = 1e-3 * codebook[3:]
    steps = 0
    while float(quantizer.codebook[3:].abs().max()) > 50:
        quantizer(_latents(steps))
        steps += 1
        assert steps <= CHECK_EVERY
    for step in range(3):  # the next moving-average steps must not bring the old places back
        quantizer(_latents(100 + step))
        assert float(quantizer.codebook.abs().max()) < 10
    for step in range(3 * CHECK_EVERY):
        quantizer(_latents(200 + step))
    if policy == "random":
        assert len(set(quantizer.encode(_latents(7)).flatten().tolist())) >= 14


def test_without_a_policy_dead_entries_stay_and_can_come_back() -> None:
    parts = _parts(dead_codes="none")
    quantizer = EMAVectorQuantizer(4, 16, ema_decay=0.3, parts=parts).train()
    codebook = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    codebook[3:] += 100.0
    quantizer.load_codebooks({"codebook": codebook})
    for step in range(150):  # until sums and counts are too small for single precision
        quantizer(_latents(step))
    torch.testing.assert_close(quantizer.codebook[3:], codebook[3:], atol=1e-2, rtol=0)
    for step in range(20):
        quantizer(_latents(step) + 100)
    assert float((quantizer.codebook[3:] - 100).norm(dim=1).min()) < 3


def test_what_counts_as_dead_does_not_depend_on_batch_size() -> None:
    """The same latents given four times over move counts fourfold; the same entries must die."""
    results = []
    for repeats in (1, 4):
        torch.manual_seed(0)
        quantizer = EMAVectorQuantizer(4, 64, parts=_parts(dead_codes="anchor")).train()
        quantizer.load_codebooks(
            {"codebook": 2 * torch.randn(64, 4, generator=torch.Generator().manual_seed(1))}
        )
        quantizer.cluster_size *= repeats  # in step with the counts to come
        quantizer.cluster_sum *= repeats
        for step in range(60):
            quantizer(_latents(step).repeat(repeats, 1, 1))
        results.append(quantizer.codebook)
    torch.testing.assert_close(results[0], results[1], atol=1e-4, rtol=1e-4)


def test_replacement_keeps_more_entries_in_use_when_latents_drift() -> None:
    used = {}
    for policy in ("none", "random"):
        torch.manual_seed(0)
        quantizer = EMAVectorQuantizer(4, 32, ema_decay=0.9, parts=_parts(dead_codes=policy)).train()
        for step in range(100):
            quantizer(_latents(step, batch=16) + max(0.0, 0.2 * (50 - step)))  # drifts, then rests
        latents = _latents(500, batch=64)
        used[policy] = len(quantizer.eval().encode(latents).unique())
    assert used["random"] >= 28
    assert used["none"] < 0.75 * used["random"]


def test_commitment_loss_is_the_mean_squared_error_and_its_gradient_leads_to_the_entry() -> None:
    torch.manual_seed(0)
    quantizer = EMAVectorQuantizer(4, 8, parts=_parts(commitment_weight=0.7)).eval()
    latents = _latents(0).requires_grad_()
    output = quantizer(latents)
    error = latents.detach() - output.quantized.detach()
    assert output.loss.item() == pytest.approx(0.7 * float(error.square().mean()), rel=1e-5)
    (gradient,) = torch.autograd.grad(output.loss, latents)
    torch.testing.assert_close(gradient, 0.7 * 2 * error / error.numel())


def test_loading_a_codebook_restarts_its_statistics() -> None:
    quantizer = EMAVectorQuantizer(4, 8).train()
    for step in range(4):
        quantizer(_latents(step))
    codebook = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    quantizer.load_codebooks({"codebook": codebook})
    assert torch.equal(quantizer.cluster_sum, codebook)
    assert torch.equal(quantizer.cluster_size, torch.ones(8))
    quantizer(_latents(50))
    assert float((quantizer.codebook - codebook).norm()) < float(codebook.norm())
