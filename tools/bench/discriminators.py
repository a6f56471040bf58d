"""Measure what adversarial training costs on one thread, beside a step of the codec alone.

Usage: python tools/bench/discriminators.py [--recipe speech-16k] [--kinds light stft] [--seconds 2]
           [--batch 4] [--crop 0.5]

Each row is forward and backward of one kind of discriminator for the codec and for itself, as a training step
does it, in milliseconds of processor time for a second of audio in the batch; the first row is the step of
the codec with its reconstruction losses. The best of several runs counts, the others were disturbed.
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from rich.table import Table

from audiocodec.losses.loudness import LoudnessLoss
from audiocodec.losses.reconstruction import ReconstructionLoss, weighted_sum
from audiocodec.model import build_model
from audiocodec.process import compute_in_one_thread
from audiocodec.training.adversarial import AdversarialConfig, Adversary, crop
from audiocodec.training.api import load_recipe
from audiocodec.training.config import TrainConfig
from audiocodec.training.discriminators import DISCRIMINATORS
from audiocodec.training.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

REPEATS = 3


def precision(bfloat16: bool) -> torch.autocast | nullcontext[None]:
    """Autocast or nothing."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if bfloat16 else nullcontext()


def milliseconds(work: Callable[[], object], audio_seconds: float, repeats: int = REPEATS) -> float:
    """Least processor time of several runs, for a second of audio; one more run comes before to warm up."""
    times: list[float] = []
    for _ in range(repeats + 1):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return 1000 * min(times[1:]) / audio_seconds


def codec_step(config: TrainConfig, wav: Tensor, bfloat16: bool) -> Callable[[], None]:
    """Forward and backward of the codec and its reconstruction losses."""
    model, loss = build_model(config.model).train(), ReconstructionLoss(config.loss, config.model.sample_rate)
    model(wav)  # codebooks take their first values

    def work() -> None:
        with precision(bfloat16):
            output = model(wav)
        estimate = output.wav[:, 0].float()
        losses = loss(estimate, wav[:, 0, : estimate.shape[1]]) | {"commitment": output.loss}
        weighted_sum(losses, config.loss.weights).backward()

    return work


def judging(config: AdversarialConfig, wav: Tensor, length: int, bfloat16: bool) -> Callable[[], None]:
    """One pass through the discriminators, its gradients for them and for the codec."""
    adversary, generator = Adversary(config, 16000, Processes()), torch.Generator().manual_seed(0)
    parameters = adversary.learning

    def work() -> None:
        estimate = (wav + 0.01 * torch.randn_like(wav)).requires_grad_()
        with precision(bfloat16):
            losses = adversary(*crop(estimate, wav, length, generator))
        losses["discriminator"].backward(inputs=parameters, retain_graph=True)
        torch.autograd.grad(losses["adversarial"] + losses["feature"], estimate)

    return work


def loudness(sample_rate: int, wav: Tensor) -> Callable[[], None]:
    """The loudness loss and its gradient."""
    loss = LoudnessLoss(sample_rate)

    def work() -> None:
        estimate = (wav[:, 0] + 0.01 * torch.randn_like(wav[:, 0])).requires_grad_()
        loss(estimate, wav[:, 0]).backward()

    return work


def kinds_of(config: AdversarialConfig, kinds: list[str]) -> dict[str, AdversarialConfig]:
    """The recipe's own discriminators, if it has any, then each kind at the sizes it has in the recipe."""
    named = {f"recipe: {'+'.join(config.discriminators.kinds)}": config} if config.enabled else {}
    sizes = config.discriminators
    return named | {kind: AdversarialConfig(replace(sizes, kinds=(kind,))) for kind in kinds}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipe", default="speech-16k")
    parser.add_argument("--kinds", nargs="*", default=[*DISCRIMINATORS], choices=[*DISCRIMINATORS])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument(
        "--crop", type=float, default=0.5, help="seconds that the recipe or a row `cropped` judges"
    )
    arguments = parser.parse_args()
    compute_in_one_thread()
    torch.manual_seed(0)
    config = load_recipe(arguments.recipe)
    rate, hop = config.model.sample_rate, config.model.net.hop_length
    length = round(arguments.seconds * rate / hop) * hop
    wav = 0.1 * torch.randn(arguments.batch, 1, length)
    audio = arguments.batch * length / rate
    table = Table("part", "parameters", "float32 ms", "bfloat16 ms", "x codec step", box=None)

    def add(name: str, parameters: int, make: Callable[[bool], Callable[[], None]]) -> float:
        times = [milliseconds(make(bfloat16), audio) for bfloat16 in (False, True)]
        step = codec if codec else min(times)
        table.add_row(
            name, f"{parameters:,}", *(f"{value:.1f}" for value in times), f"{min(times) / step:.2f}"
        )
        return min(times)

    codec = 0.0
    parameters = sum(p.numel() for p in build_model(config.model).parameters())
    codec = add(f"codec of {arguments.recipe}", parameters, lambda half: codec_step(config, wav, half))
    add("loudness loss", 0, lambda half: loudness(rate, wav))
    for name, adversarial in kinds_of(config.adversarial, arguments.kinds).items():
        count = sum(p.numel() for p in Adversary(adversarial, 16000, Processes()).parameters())
        whole = not adversarial.crop_seconds
        crops = (
            {"": 0.0, f", {arguments.crop:g} s": arguments.crop} if whole else {"": adversarial.crop_seconds}
        )
        for suffix, seconds in crops.items():
            samples = round(seconds * rate)
            add(name + suffix, count, lambda half, a=adversarial, n=samples: judging(a, wav, n, half))
    Console().print(table)


if __name__ == "__main__":
    main()
