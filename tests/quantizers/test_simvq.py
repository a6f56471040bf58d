import pytest
import torch

from audiocodec.quantizers import QuantizerConfig, build_method, build_quantizer
from audiocodec.quantizers.projection import reproduction_variances
from audiocodec.quantizers.simvq import SimVectorQuantizer


def _latents(seed: int = 0) -> torch.Tensor:
    return 3 + 2 * torch.randn(4, 6, 50, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("estimator", ["straight_through", "rotation"])
def test_against_vector_quantize_pytorch(estimator: str) -> None:
    peer_module = pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    peer = peer_module.SimVQ(6, 32, rotation_trick=estimator == "rotation")
    ours = build_method(6, "simvq", 32, {"bias": False, "estimator": estimator})
    assert isinstance(ours, SimVectorQuantizer)
    ours.frozen.copy_(peer.frozen_codebook)
    ours.map.load_state_dict(peer.code_transform.state_dict())
    mine, theirs = (_latents().requires_grad_() for _ in range(2))
    direction = torch.randn(mine.shape, generator=torch.Generator().manual_seed(5))
    output = ours.train()(mine)
    quantized, indices, loss = peer.train()(theirs.transpose(1, 2))
    assert torch.equal(output.codes[:, 0], indices)
    torch.testing.assert_close(output.quantized, quantized.transpose(1, 2), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.loss, loss)
    ((output.quantized * direction).sum() + output.loss).backward()
    ((quantized.transpose(1, 2) * direction).sum() + loss).backward()
    torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(ours.map.weight.grad, peer.code_transform.weight.grad, atol=1e-5, rtol=1e-4)


def test_frozen_entries_never_change_and_all_entries_move_with_one_step() -> None:
    torch.manual_seed(0)
    quantizer = build_method(6, "simvq", 32, {}).train()
    frozen, before = quantizer.frozen.clone(), quantizer.codebooks()["codebook"].clone()
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=0.1)
    quantizer(_latents()).loss.backward()
    optimizer.step()
    assert torch.equal(quantizer.frozen, frozen)
    moved = (quantizer.codebooks()["codebook"] - before).norm(dim=1)
    assert float(moved.min()) > 1e-3


@pytest.mark.parametrize("method", ["simvq", "transvq"])
def test_initialize_gives_the_codebook_the_latents_mean_and_what_of_their_covariance_8_bits_can_tell(
    method: str,
) -> None:
    torch.manual_seed(0)
    quantizer = build_method(6, method, 256, {})
    latents = torch.einsum("de,bet->bdt", torch.randn(6, 6), _latents()) + 4
    quantizer.initialize(latents)
    rows, entries = latents.transpose(1, 2).reshape(-1, 6), quantizer.codebooks()["codebook"]
    torch.testing.assert_close(entries.mean(0), rows.mean(0), atol=1e-3, rtol=1e-3)
    variances, axes = torch.linalg.eigh(rows.t().cov())
    told = torch.maximum(reproduction_variances(variances, 8), 0.01 * variances)
    torch.testing.assert_close(entries.t().cov(), (axes * told) @ axes.t(), atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("method", ["simvq", "transvq"])
def test_a_start_in_many_dimensions_leaves_less_than_there_was(method: str) -> None:
    """With the whole covariance, the nearest entry would be farther than the mean."""
    torch.manual_seed(0)
    latents = torch.randn(8, 64, 200)
    stack = build_quantizer(QuantizerConfig(method, 4, 256, search_width=1), 64)
    stack.initialize(latents)
    residual, left = latents, []
    for stage in stack.eval().stages:
        residual = residual - stage.decode(stage.encode(residual))
        left.append(float(residual.square().mean()))
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.9


def _small(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 6, 20, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("method", ["simvq", "transvq"])
def test_codebook_is_kept_in_evaluation_and_made_anew_when_a_weight_changes(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    quantizer = build_method(6, method, 16, {}).eval()
    made = []
    original = type(quantizer).mapped

    def counted(self):
        made.append(1)
        return original(self)

    monkeypatch.setattr(type(quantizer), "mapped", counted)
    codes = quantizer.encode(_small())
    quantizer.decode(codes)
    quantizer(_small())
    assert len(made) == 1
    before = quantizer.decode(codes)
    with torch.no_grad():
        next(quantizer.parameters()).add_(0.3)
    assert not torch.equal(quantizer.decode(codes), before)
    assert len(made) == 2


@pytest.mark.parametrize("method", ["simvq", "transvq", "affine"])
def test_baked_codebooks_decode_alike_and_are_the_stored_tensor_itself(method: str) -> None:
    torch.manual_seed(0)
    stack = build_quantizer(QuantizerConfig(method, 2, 16), 6)
    stack.initialize(_small())
    stack.eval()
    codes = stack.encode(_small())
    before = stack.decode(codes)
    stack.load_codebooks({name: c.clone() for name, c in stack.codebooks().items()})
    assert torch.equal(stack.decode(codes), before)
    assert torch.equal(stack.encode(_small()), codes)
    stored = {t.data_ptr() for t in stack.state_dict().values()}
    assert {c.data_ptr() for c in stack.codebooks().values()} <= stored
    other = build_quantizer(QuantizerConfig(method, 2, 16), 6)
    other.load_state_dict(stack.state_dict())
    assert torch.equal(other.eval().decode(codes), before)


def test_works_inside_inference_mode_and_after_it() -> None:
    torch.manual_seed(0)
    quantizer = build_method(6, "transvq", 16, {}).eval()
    with torch.inference_mode():
        codes = quantizer.encode(_small())
    latents = _small().requires_grad_()
    output = quantizer(latents)
    (output.quantized.sum() + output.loss).backward()
    assert torch.equal(output.codes, codes)
    assert float(latents.grad.norm()) > 0
