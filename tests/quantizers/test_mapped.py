"""What is kept and baked of a codebook that is computed."""

import pytest
import torch

from audiocodec.quantizers import build_method, build_stack


def _latents(seed: int = 0) -> torch.Tensor:
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
    codes = quantizer.encode(_latents())
    quantizer.decode(codes)
    quantizer(_latents())
    assert len(made) == 1
    before = quantizer.decode(codes)
    with torch.no_grad():
        next(quantizer.parameters()).add_(0.3)
    assert not torch.equal(quantizer.decode(codes), before)
    assert len(made) == 2


@pytest.mark.parametrize("method", ["simvq", "transvq", "affine"])
def test_baked_codebooks_decode_alike_and_are_the_stored_tensor_itself(method: str) -> None:
    torch.manual_seed(0)
    stack = build_stack(6, method, 16, 2)
    stack.initialize(_latents())
    stack.eval()
    codes = stack.encode(_latents())
    before = stack.decode(codes)
    stack.load_codebooks({name: c.clone() for name, c in stack.codebooks().items()})
    assert torch.equal(stack.decode(codes), before)
    assert torch.equal(stack.encode(_latents()), codes)
    stored = {t.data_ptr() for t in stack.state_dict().values()}
    assert {c.data_ptr() for c in stack.codebooks().values()} <= stored
    other = build_stack(6, method, 16, 2)
    other.load_state_dict(stack.state_dict())
    assert torch.equal(other.eval().decode(codes), before)


def test_works_inside_inference_mode_and_after_it() -> None:
    torch.manual_seed(0)
    quantizer = build_method(6, "transvq", 16, {}).eval()
    with torch.inference_mode():
        codes = quantizer.encode(_latents())
    latents = _latents().requires_grad_()
    output = quantizer(latents)
    (output.quantized.sum() + output.loss).backward()
    assert torch.equal(output.codes, codes)
    assert float(latents.grad.norm()) > 0
