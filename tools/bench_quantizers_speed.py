"""The speed study of bench_quantizers.py: training steps of whole stacks, each beside one of EMA."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from bench_quantizers_rows import Row

from audiocodec.quantizers import QUANTIZERS, Quantizer, build_stack

BATCH, DIM = 8, 128
STAGES, ROUNDS = 8, 5
SETTINGS = ((1024, 100), (1024, 600), (8192, 100))
"""Entries of a stage, and frames of each of 8 recordings: 2 s at 50 a second as in recipes/base.yaml, or
4,800 vectors a step, as in the training of EnCodec (64 x 1 s at 75 a second)."""

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
    """A stack and its optimiser, on fixed latents with a made-up gradient from the decoder."""

    def __init__(self, case: str, codebook_size: int, frames: int) -> None:
        """Start at the latents."""
        torch.manual_seed(0)
        method, options = CASES[case]
        self.latents, self.direction = torch.randn(2, BATCH, DIM, frames).unbind(0)
        self.stack: Quantizer = build_stack(DIM, method, codebook_size, STAGES, options=options).train()
        self.stack.initialise(self.latents[:, :, :16])
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


def speed_names() -> list[str]:
    """Runs `entries/frames/case`."""
    return [f"{size}/{frames}/{case}" for size, frames in SETTINGS for case in CASES]


def run_speed(name: str) -> Row:
    """A stack's step and EMA's in turn: least processor time of each, their ratio, and memory."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, name).result()


def _measure(name: str) -> Row:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    size, frames, case = name.split("/")
    torch.ones(1, requires_grad=True).square().backward()
    before = _peak_megabytes()
    stepper = Stepper(case, int(size), int(frames))
    stepper.step()
    taken = _peak_megabytes() - before
    baseline = Stepper("ema", int(size), int(frames))
    times = [(stepper.step(), baseline.step()) for _ in range(ROUNDS)]
    mine, emas = (min(column) for column in zip(*times, strict=True))
    about = {"case": case, "codebook_size": int(size), "vectors": BATCH * int(frames)}
    return about | {"step_ms": 1e3 * mine, "times_ema": mine / emas, "megabytes": taken}


def _peak_megabytes() -> float:
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
