import pytest
import torch

from audiocodec.nn.latent_scale import LatentScale, full_precision


def test_latents_keep_their_size_whatever_the_net_does():
    scale = LatentScale(decay=0.5)
    for _ in range(40):
        out = scale(100 * torch.randn(2, 8, 500))
    assert float(out.square().mean()) == pytest.approx(1.0, rel=0.1)
    before = scale.mean_square.clone()
    scale.eval()(torch.ones(1, 8, 5))
    assert torch.equal(scale.mean_square, before)


def test_loss_cannot_shrink_the_latents():
    scale = LatentScale()
    latents = torch.randn(2, 4, 10, requires_grad=True)
    # A commitment loss towards zero pulls along the latents only; another part of the gradient must pass.
    (scale(latents).square().sum() + scale(latents)[0, 0, 0]).backward()
    assert latents.grad is not None
    assert abs((latents.grad * latents).sum().item()) < 1e-4
    assert float(latents.grad[0, 0, 0]) > 0.5


def test_full_precision_leaves_double_alone():
    for given, expected in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        assert full_precision(torch.ones(1, dtype=given)).dtype == expected
