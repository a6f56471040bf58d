"""The speed study of quantizers.py: training steps of whole stacks, all in one process."""

from __future__ import annotations

import time
from typing import Any

import torch
from quantizers_rows import Row
from torch import Tensor

from audiocodec.process import compute_in_one_thread
from audiocodec.quantizers import QUANTIZERS, Quantizer, QuantizerConfig, build_quantizer

BATCH, DIM = 8, 128
STAGES, ROUNDS = 8, 5
SETTINGS = ((1024, 100), (1024, 512), (8192, 100))
"""Entries of a stage, and frames of each of 8 recordings: 2 s at 50 a second as in recipes/base.yaml, or
4,096 vectors a step, about as many as in the training of EnCodec (64 x 1 s at 75 a second)."""

CASES: dict[str, tuple[str, dict[str, Any]]] = {method: (method, {}) for method in sorted(QUANTIZERS)} | {
    "ema, rotation": ("ema", {"estimator": "rotation"}),
    "vector, top-3 sampling": ("vector", {"sample_top_k": 3}),
    "transvq, mlp": ("transvq", {"map": "mlp"}),
    "nsvq, paper's weights": ("nsvq", {"weighting": "paper"}),
    "nsvq, inject": ("nsvq", {"inject": True}),
    "wasserstein, sliced": ("wasserstein", {"variant": "sliced"}),
    "wasserstein, zador": ("wasserstein", {"target": "zador"}),
}


class Stepper:
    """A stack and its optimizer, on fixed latents with a made-up gradient from the decoder."""

    def __init__(self, case: str, codebook_size: int, frames: int) -> None:
        """Start at the latents."""
        torch.manual_seed(0)
        method, options = CASES[case]
        self.latents, self.direction = torch.randn(2, BATCH, DIM, frames).unbind(0)
        self.stack: Quantizer = build_quantizer(
            QuantizerConfig(method, STAGES, codebook_size, search_width=1, options=options), DIM
        ).train()
        self.stack.initialize(self.latents[:, :, :16])
        self.optimizer = torch.optim.AdamW([*self.stack.parameters(), torch.nn.Parameter(torch.zeros(1))])

    def step(self) -> float:
        """Forward, backward, update; processor seconds."""
        began = time.process_time()
        latents = self.latents.clone().requires_grad_()
        output = self.stack(latents)
        self.optimizer.zero_grad()
        (output.loss + (output.quantized * self.direction).mean()).backward()
        self.optimizer.step()
        return time.process_time() - began

    def megabytes(self) -> float:
        """Weights, buffers, gradients, Adam's moments, and what the forward keeps for the backward pass."""
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            output = self.stack(self.latents.clone().requires_grad_())
        parameters = list(self.stack.parameters())
        for tensor in (*parameters, *self.stack.buffers()):
            kept.pop(tensor.untyped_storage().data_ptr(), None)
        del output
        fixed = 4 * sum(p.nbytes for p in parameters) + sum(b.nbytes for b in self.stack.buffers())
        return (fixed + sum(kept.values())) / 1e6


def speed_names() -> list[str]:
    """Runs `entries/frames`."""
    return [f"{size}/{frames}" for size, frames in SETTINGS]


def run_speed(name: str) -> Row:
    """A step of every stack in turn: the least processor time of each, its ratio to EMA's, and memory."""
    compute_in_one_thread()
    size, frames = (int(number) for number in name.split("/"))
    steppers = {case: Stepper(case, size, frames) for case in CASES}
    best = dict.fromkeys(CASES, float("inf"))
    for _ in range(ROUNDS):
        for case, stepper in steppers.items():
            best[case] = min(best[case], stepper.step())
    cases = [
        {
            "case": case,
            "step_ms": 1e3 * best[case],
            "times_ema": best[case] / best["ema"],
            "megabytes": stepper.megabytes(),
        }
        for case, stepper in steppers.items()
    ]
    return {"codebook_size": size, "vectors": BATCH * frames, "cases": cases}
