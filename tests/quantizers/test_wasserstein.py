import pytest
import torch

from audiocodec.quantizers import build_method, build_stack
from audiocodec.quantizers.transport import gaussian_wasserstein, mean_and_covariance
from audiocodec.quantizers.wasserstein import Matching, WassersteinVectorQuantizer


def _latents(seed: int, dim: int = 4, batch: int = 8) -> torch.Tensor:
    return 5 + 2 * torch.randn(batch, dim, 32, generator=torch.Generator().manual_seed(seed))


def _train(options: dict, steps: int = 200, size: int = 64) -> WassersteinVectorQuantizer:
    torch.manual_seed(0)
    quantizer = build_method(4, "wasserstein", size, {"queue_size": 2048, **options}).train()
    assert isinstance(quantizer, WassersteinVectorQuantizer)
    optimizer = torch.optim.Adam(quantizer.parameters(), lr=0.2)
    for step in range(steps):
        optimizer.zero_grad()
        quantizer(_latents(step)).loss.backward()
        optimizer.step()
    return quantizer


def test_loss_is_the_weighted_sum_with_the_scaled_distance_to_the_queue() -> None:
    torch.manual_seed(0)
    quantizer = WassersteinVectorQuantizer(
        4, 16, matching=Matching(queue_size=1000, wasserstein_weight=0.7)
    ).train()
    quantizer(_latents(0))
    output = quantizer(_latents(1))
    seen = torch.cat([_latents(0), _latents(1)]).transpose(1, 2).reshape(-1, 4)
    scale = seen.std(0).max()
    entries = quantizer.codebook.detach()
    distance = gaussian_wasserstein(*mean_and_covariance(seen / scale), entries / scale)
    error = (output.quantized - _latents(1)).square().mean()
    assert output.loss.item() == pytest.approx(1.1 * error.item() + 0.7 * distance.item(), rel=1e-4)


def test_distance_moves_the_codebook_only() -> None:
    quantizer = WassersteinVectorQuantizer(
        4, 16, commitment_weight=0.0, codebook_weight=0.0, matching=Matching(queue_size=1000)
    ).train()
    latents = _latents(0).requires_grad_()
    quantizer(latents).loss.backward()
    assert latents.grad is None or not bool(latents.grad.any())
    assert float(quantizer.codebook.grad.abs().max()) > 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"variant": "sliced"},
        {"variant": "mmd", "wasserstein_weight": 5.0, "queue_size": 256},
        {"target": "zador"},
    ],
)
def test_nearly_all_entries_come_into_use_from_one_point(options: dict) -> None:
    quantizer = _train(options).eval()
    used = quantizer.encode(_latents(999, batch=100)).unique()
    assert len(used) >= 59


def test_without_the_distance_most_entries_stay_unused() -> None:
    quantizer = _train({"wasserstein_weight": 0.0}).eval()
    assert len(quantizer.encode(_latents(999, batch=100)).unique()) < 20


def test_codebook_takes_the_covariance_asked_for() -> None:
    spread = {}
    for scale in (1.0, 0.25):
        options = {"covariance_scale": scale, "codebook_weight": 0.0, "commitment_weight": 0.0}
        spread[scale] = _train(options).codebook.detach().var(0).mean().item()
    assert spread[1.0] == pytest.approx(4, rel=0.1)
    assert spread[0.25] == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("variant", ["gaussian", "sliced"])
def test_codebook_takes_the_covariance_that_its_bits_can_tell(variant: str) -> None:
    options = {"target": "rate", "variant": variant, "codebook_weight": 0.0, "commitment_weight": 0.0}
    spread = _train(options).codebook.detach().var(0).mean().item()
    assert spread == pytest.approx(4 * (1 - 2 ** (-2 * 6 / 4)), rel=0.1)  # 6 bits for 4 equal dimensions


def test_evaluation_needs_and_fills_no_queue() -> None:
    quantizer = WassersteinVectorQuantizer(4, 16).eval()
    output = quantizer(_latents(0))
    assert "wasserstein" not in output.metrics
    assert int(quantizer.queue.filled) == 0


def test_every_stage_has_its_own_queue() -> None:
    torch.manual_seed(0)
    stack = build_stack(4, "wasserstein", 16, 3, options={"queue_size": 512})
    stack.initialize(_latents(0))
    stack.train()(_latents(0))
    spreads = [float(stage.queue.moments()[1].trace()) for stage in stack.stages]
    assert spreads[0] > 1.5 * spreads[1] > 0
