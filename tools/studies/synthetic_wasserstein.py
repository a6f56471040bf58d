"""Do codes that match a distribution quantize it better? Synthetic study of https://arxiv.org/abs/2506.15078.

    python tools/studies/synthetic_wasserstein.py --entries 1024 --samples 4096 --steps 400 --means 0,4,8
    python tools/studies/synthetic_wasserstein.py --entries 16384 --samples 50000 --steps 2000 --means 0,2,4,8

Samples are N(mean, I) in 8 dimensions, codes start at N(0, I). The second command is the paper's setting;
on one core it takes days, the first minutes. Codes of `wasserstein`, `sliced` and `mmd` learn by SGD on 0.1
commitment + 10 distance, momentum 0.9, rate 3 as in the paper for its numbers of codes and steps, and for
others such that a code can go as far. Codes that learn by the codebook loss have Adam, rate 0.05. `bimodal`
is half of the samples at +4, half at -4 in the first axis, where the closed form's Gaussian is wrong (the
paper's open question 1).

Prints error (sum over the dimensions), share of codes in use and perplexity exp(H), on fresh samples.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiocodec.process import compute_in_one_thread
from audiocodec.quantizers import Quantizer, build_method

DIM = 8
MATCHING = {"commitment_weight": 0.1, "codebook_weight": 0.0, "wasserstein_weight": 10.0}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "vector": ("vector", {}),
    "ema": ("ema", {"ema_decay": 0.8, "dead_codes": "none"}),
    "ema, replacing": ("ema", {"ema_decay": 0.8}),
    "online": ("online", {}),
    "wasserstein": ("wasserstein", MATCHING),
    "sliced": ("wasserstein", {**MATCHING, "variant": "sliced"}),
    "mmd": ("wasserstein", {**MATCHING, "variant": "mmd"}),
    "sliced, codebook loss": ("wasserstein", {**MATCHING, "variant": "sliced", "codebook_weight": 1.0}),
}
"""0.8 is the moving average of the paper's baseline; replacing unused entries it leaves out."""


def gaussian(mean: float) -> Callable[[int], Tensor]:
    """Samples of N(mean, I)."""
    return lambda count: mean + torch.randn(count, DIM)


def bimodal(count: int) -> Tensor:
    """Two narrow clouds 8 apart: their mean lies where no sample is."""
    samples = torch.randn(count, DIM)
    samples[:, 0] = 0.5 * samples[:, 0] + 4 * (2.0 * torch.randint(2, (count,)) - 1)
    return samples


def run(
    method: str, draw: Callable[[int], Tensor], entries: int, samples: int, steps: int
) -> dict[str, float]:
    """Train one codebook and measure it."""
    torch.manual_seed(0)
    name, options = METHODS[method]
    quantizer = build_method(DIM, name, entries, options)
    quantizer.load_codebooks({"codebook": torch.randn(entries, DIM)})
    parameters = [*quantizer.parameters(), torch.nn.Parameter(torch.zeros(1))]  # `ema` has none
    if options.get("codebook_weight", 1.0):
        optimizer = torch.optim.Adam(parameters, lr=0.05)
    else:  # a step moves each of K codes by 1 / K of the distance's gradient
        optimizer = torch.optim.SGD(parameters, lr=3.0 * entries / 16384 * 2000 / steps, momentum=0.9)
    began = time.process_time()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = quantizer.train()(draw(samples).t()[None]).loss
        if loss.requires_grad:
            loss.backward()
        optimizer.step()
    return measure(quantizer.eval(), draw(max(samples, 8 * entries))) | {
        "step_ms": 1e3 * (time.process_time() - began) / steps
    }


@torch.no_grad()
def measure(quantizer: Quantizer, samples: Tensor) -> dict[str, float]:
    """Error summed over dimensions, usage in %, perplexity."""
    output = quantizer(samples.t()[None])
    error = (output.quantized[0].t() - samples).square().sum(dim=1).mean()
    usage, perplexity = (float(output.metrics[name]) for name in ("usage", "perplexity"))
    return {"error": float(error), "usage": 100 * usage, "perplexity": perplexity}


def main() -> None:
    """Run all, print a markdown table a measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entries", type=int, default=1024)
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--means", default="0,4,8")
    parser.add_argument("--methods", default=";".join(METHODS), help="separated by semicolons")
    parser.add_argument("--out", type=Path, help="also append a JSON line a run")
    arguments = parser.parse_args()
    compute_in_one_thread()
    draws = {f"mean {m}": gaussian(float(m)) for m in arguments.means.split(",")} | {"bimodal": bimodal}
    print(
        f"{arguments.entries} entries, {arguments.samples} samples a step, {arguments.steps} steps, d = {DIM}"
    )
    print("error / usage in % / perplexity\n")
    print("| | " + " | ".join(draws) + " |\n|" + " --- |" * (len(draws) + 1))
    for method in arguments.methods.split(";"):
        cells: list[str] = []
        for title, draw in draws.items():
            row = run(method, draw, arguments.entries, arguments.samples, arguments.steps)
            cells.append(f"{row['error']:.2f} / {row['usage']:.0f} / {row['perplexity']:.0f}")
            if arguments.out:
                with arguments.out.open("a") as file:
                    file.write(json.dumps({"method": method, "features": title, **row}) + "\n")
        print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
