"""No method holds one number for every pair of vector and entry, forward or backward."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from audiocodec.quantizers import QUANTIZERS, build_method, codebook

DIM, SIZE, VECTORS = 8, 512, 600

CASES = [(method, {}) for method in QUANTIZERS] + [
    ("vector", {"entropy_weight": 0.1, "orthogonality_weight": 1.0}),
    ("vector", {"sample_top_k": 4}),
    ("ema", {"dead_codes": "anchor"}),
    ("nsvq", {"inject": True, "weighting": "paper"}),
    ("wasserstein", {"variant": "sliced", "target": "zador"}),
    ("wasserstein", {"variant": "mmd"}),
]
SMALLER = {"wasserstein": {"queue_size": 1024}, "transvq": {"width": 32}}


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation gave."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize(("method", "options"), CASES, ids=lambda case: str(case).replace(" ", ""))
def test_nothing_is_as_large_as_vectors_times_entries(
    method: str, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codebook, "CHUNK_ELEMENTS", 1 << 16)
    torch.manual_seed(0)
    quantizer = build_method(DIM, method, SIZE, {**SMALLER.get(method, {}), **options}).train()
    with Largest() as largest:
        for _ in range(2):
            latents = torch.randn(2, DIM, VECTORS // 2).requires_grad_()
            output = quantizer(latents)
            (output.loss + output.quantized.square().mean()).backward()
        quantizer.eval().decode(quantizer.encode(latents))
    assert largest.elements <= 1 << 17 < VECTORS * SIZE


def test_the_check_sees_a_whole_matrix_of_distances() -> None:
    with Largest() as largest:
        torch.cdist(torch.randn(VECTORS, DIM), torch.randn(SIZE, DIM))
    assert largest.elements == VECTORS * SIZE
