"""Measure where the time of a training step goes, without and with discriminators.

Usage: python tools/bench/training.py speech-16k [key=value ...] [--against light] [--steps 30] [--at 10000]
           [--model NAME]

Runs steps of a recipe from a trained model (random weights and k-means would take minutes and change little),
as if the run were at step --at, so that discriminators and curricula are in force; --against does it once
more with those discriminators. Numbers are processor milliseconds of the one thread that does all the work:
they hardly depend on what else the machine does. Batches are drawn in that thread too; in a real run that
happens beside the step. The last table is of the reconstruction losses, each alone but for `spectrum`, which
shares its STFTs with `mel` and is what it costs beside it.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from audiocodec.process import prepare_for_training

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.training.config import TrainConfig
    from audiocodec.training.loop import Trainer

DATA = ("drawing speech", "augmentation")
"""Parts that a real run does ahead, in a thread beside the step."""
REPEATS = 5


class Clock:
    """Adds up thread time by name; time inside another timed call counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.inner = [0.0]
        self.names = [""]

    def timed(self, name: str, function: Callable[..., Any], part_of: str = "-") -> Callable[..., Any]:
        """`function`, timed as `name`, or as `part_of` where it is called from there."""

        def call(*arguments: Any, **options: Any) -> Any:
            if self.names[-1] == part_of:
                return function(*arguments, **options)
            self.names.append(name)
            self.inner.append(0.0)
            began = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                taken = time.thread_time() - began
                self.names.pop()
                self.seconds[name] += taken - self.inner.pop()
                self.inner[-1] += taken

        return call


class Backward:
    """Tells apart what a backward pass through the model spends in decoder, quantizer and encoder.

    The engine goes through nodes from the latest to the earliest, in the calling thread on a CPU, so each
    part is done when the gradient of what it was given arrives.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.marks: list[tuple[str, float]] = []

    def watch(self, part: str, given: Tensor) -> None:
        """Note when the gradient of `given`, the input of `part`, is known."""
        if given.requires_grad:

            def note(gradient: Tensor) -> None:
                self.marks.append((part, time.thread_time()))

            given.register_hook(note)

    def share_out(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, its time given to the parts; calls for discriminators come before and are theirs."""

        def call(*arguments: Any, **options: Any) -> Any:
            if self.clock.names[-1] == "discriminators":
                return function(*arguments, **options)
            self.marks, began = [], time.thread_time()
            found = function(*arguments, **options)
            for part, until in [*self.marks, ("encoder", time.thread_time())]:
                self.clock.seconds[f"{part}, backward"] += until - began
                self.clock.inner[-1] += until - began
                began = until
            return found

        return call


def measure(config: TrainConfig, steps: int, at: int) -> None:
    """Train `steps` steps and print the table."""
    from audiocodec.training.loop import Trainer

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(folder))
        trainer.start()
        trainer.step_number = at
        trainer.step()
        clock = Clock()
        restore = time_parts(trainer, clock)
        step = clock.timed("rest", trainer.step)
        totals: list[float] = []
        for _ in range(steps):
            before = sum(clock.seconds.values())
            step()
            totals.append(sum(clock.seconds.values()) - before)
        restore()
    kinds = ", ".join(config.adversarial.discriminators.kinds) or "none"
    environments = config.augment.environments or "none"
    title = f"{config.name}; environments: {environments}; discriminators: {kinds}"
    show(title, clock, totals, config.accumulate * config.data.batch_size * config.data.segment_seconds)


def time_parts(trainer: Trainer, clock: Clock) -> Callable[[], None]:
    """Replace what a step calls by timed versions; what comes back puts the engine of torch right again."""
    import torch

    model, objective, backward = trainer.model, trainer.objective, Backward(clock)
    _replace(trainer.data.sampler, "draw", clock.timed(DATA[0], trainer.data.sampler.draw))
    if trainer.feed.augmenter is not None:
        trainer.feed.augmenter = clock.timed(DATA[1], trainer.feed.augmenter)  # pyright: ignore
    encode, quantize, decode = model.encoder.forward, model.quantizer.forward, model.decoder.forward

    def watched_quantizer(latents: Tensor, *more: Any, **options: Any) -> Any:
        backward.watch("quantizer", latents)
        return quantize(latents, *more, **options)

    def watched_decoder(latents: Tensor, *more: Any, **options: Any) -> Any:
        backward.watch("decoder", latents)
        return decode(latents, *more, **options)

    _replace(model.encoder, "forward", clock.timed("encoder", encode))
    _replace(model.quantizer, "forward", clock.timed("quantizer", watched_quantizer))
    _replace(model.decoder, "forward", clock.timed("decoder", watched_decoder))
    _replace(objective.reconstruction, "forward", clock.timed("losses", objective.reconstruction.forward))
    adversary = objective.adversary
    if adversary is not None:
        _replace(adversary, "judge", clock.timed("discriminators", adversary.judge))
        step = adversary.optimizer.step
        _replace(adversary.optimizer, "step", clock.timed("optimizer of the discriminators", step))
    _replace(objective, "_gradient", clock.timed("losses, backward", getattr(objective, "_gradient")))  # noqa: B009
    _replace(trainer.optimizer, "step", clock.timed("optimizer", trainer.optimizer.step))
    _replace(trainer.average, "follow", clock.timed("average of the weights", trainer.average.follow))
    original = torch.autograd.backward
    _replace(torch.autograd, "backward", backward.share_out(original))
    return lambda: _replace(torch.autograd, "backward", original)


def _replace(owner: object, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)


def show(title: str, clock: Clock, totals: Sequence[float], audio_seconds: float) -> None:
    """Print what the steps took, in all and by part."""
    table = Table("part", "ms a step", "share", title=title)
    whole, steps = sum(clock.seconds.values()), len(totals)
    for name, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{1000 * seconds / steps:.1f}", f"{100 * seconds / whole:.1f} %")
    table.add_section()
    data = sum(clock.seconds[name] for name in DATA)
    typical = mean(totals)
    table.add_row("step, all of it", f"{1000 * typical:.0f}", f"{audio_seconds / typical:.1f}x real time")
    beside = typical - data / steps
    table.add_row("without drawing", f"{1000 * beside:.0f}", f"{audio_seconds / beside:.1f}x real time")
    fastest = min(totals)
    table.add_row("fastest step", f"{1000 * fastest:.0f}", f"{audio_seconds / fastest:.1f}x real time")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    table.add_row("largest memory so far", f"{memory:.0f} MB", "")
    Console().print(table)


def show_losses(config: TrainConfig) -> None:
    """Print what each reconstruction loss of a recipe costs, forward and backward."""
    import torch

    from audiocodec.losses.reconstruction import RECONSTRUCTION_LOSSES, ReconstructionLoss

    length = round(config.data.segment_seconds * config.model.sample_rate)
    generator = torch.Generator().manual_seed(0)
    wavs = [0.1 * torch.randn(config.data.batch_size, length, generator=generator) for _ in range(2)]

    def milliseconds(*names: str) -> float:
        weights = dict.fromkeys(names, 1.0)
        loss = ReconstructionLoss(replace(config.loss, weights=weights), config.model.sample_rate)
        times: list[float] = []
        for _ in range(REPEATS + 1):
            estimate, began = wavs[0].clone().requires_grad_(), time.thread_time()
            torch.autograd.grad(sum(loss(estimate, wavs[1]).values(), torch.zeros(())), estimate)
            times.append(time.thread_time() - began)
        return 1000 * min(times[1:])

    table = Table("loss", "ms a batch, forward and backward")
    for name in RECONSTRUCTION_LOSSES:
        if config.loss.weights.get(name, 0.0) > 0:
            beside = name == "spectrum" and config.loss.weights.get("mel", 0.0) > 0
            taken = milliseconds("mel", name) - milliseconds("mel") if beside else milliseconds(name)
            table.add_row(name, f"{taken:.1f}")
    Console().print(table)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--against", default="", metavar="KIND,KIND")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--at", type=int, default=10_000)
    parser.add_argument("--model", default="speech-16k")
    options = parser.parse_intermixed_args()
    prepare_for_training()
    import torch

    from audiocodec.training.api import load_recipe

    torch.set_num_threads(1)
    steps = f"steps={options.at + 10**6}"
    overrides = ["validate_seconds=0", steps, f"start={options.model}", *options.overrides]
    against = [f"adversarial.discriminators.kinds=[{options.against}]"] if options.against else []
    measure(load_recipe(options.recipe, overrides), options.steps, options.at)
    if against:
        measure(load_recipe(options.recipe, [*overrides, *against]), options.steps, options.at)
    show_losses(load_recipe(options.recipe, overrides))


if __name__ == "__main__":
    main()
