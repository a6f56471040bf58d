"""Every part goes with every method that takes parts."""

import math

import pytest
import torch

from audiocodec.quantizers import QUANTIZERS, build_stack
from audiocodec.quantizers.vector import VectorQuantizer

METHODS = [name for name, method in QUANTIZERS.items() if "parts" in method.option_groups]
OPTIONS = [
    {"estimator": "rotation"},
    {"estimator": "modified"},
    {"sample_top_k": 5, "sample_temperature": 0.5},
    {"orthogonality_weight": 10.0, "cosine_weight": 0.1, "entropy_weight": 0.1},
    {"dead_codes": "random"},
    {"dead_codes": "anchor"},
    {"dead_codes": "split"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("method", METHODS)
def test_part_and_method(method: str, options: dict) -> None:
    cls = QUANTIZERS[method]
    if "dead_codes" in options and issubclass(cls, VectorQuantizer) and not cls.movable:
        pytest.skip("its entries cannot be placed one by one")
    if method == "ema":
        options = {name: value for name, value in options.items() if name != "orthogonality_weight"}
    torch.manual_seed(0)
    quantizer = build_stack(8, method, 32, 3, options=options)
    latents = torch.randn(4, 8, 40)
    quantizer.initialize(latents)
    optimizer = torch.optim.SGD([*quantizer.parameters(), torch.zeros(1, requires_grad=True)], lr=0.01)
    for step in range(6):
        z = torch.randn(4, 8, 40, generator=torch.Generator().manual_seed(step)).requires_grad_()
        output = quantizer.train()(z)
        optimizer.zero_grad()
        (output.loss + output.quantized.square().mean()).backward()
        optimizer.step()
        assert math.isfinite(output.loss.item())
        assert bool(z.grad.isfinite().all())
        assert torch.equal(output.quantized.detach().isfinite(), torch.ones(4, 8, 40, dtype=torch.bool))
    quantizer.eval()
    error = (quantizer.decode(quantizer.encode(latents)) - latents).square().mean()
    assert error.item() < latents.square().mean().item()
