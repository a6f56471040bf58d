"""Measure where the time of a training step goes.

Usage: python tools/bench_training.py speech-16k [key=value ...] [--steps 30] [--at 10000] [--model NAME]

Runs steps of a recipe from a trained model (random weights and k-means would take minutes and change little),
as if the run were at step --at, so that discriminators and curricula are in force. Numbers are processor
seconds of the one thread that does all the work: they hardly depend on what else the machine does. Batches
are drawn in that thread too; in a real run that happens beside the step.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from audiocodec.cli.parts.process import prepare_to_compute


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


def measure(recipe: str, overrides: list[str], steps: int, at: int) -> None:
    """Train `steps` steps and print the table."""
    import torch

    from audiocodec.config import load_config
    from audiocodec.training.config import TrainConfig
    from audiocodec.training.loop import Trainer
    from audiocodec.training.recipes import find_recipe

    torch.set_num_threads(1)
    config = load_config(
        TrainConfig, find_recipe(recipe), ["validate_seconds=0", f"steps={at + 10**6}", *overrides]
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, Path(folder))
        trainer.start()
        trainer.step_number = at
        trainer.step()
        clock = Clock()
        _time_parts(trainer, clock)
        step = clock.timed("rest", trainer.step)
        totals: list[float] = []
        for _ in range(steps):
            before = sum(clock.seconds.values())
            step()
            totals.append(sum(clock.seconds.values()) - before)
    _show(clock, totals, config.accumulate * config.data.batch_size * config.data.segment_seconds)


def _time_parts(trainer: Any, clock: Clock) -> None:
    """Replace what a step calls by timed versions."""
    import torch

    trainer.feed = clock.timed("drawing the batch", trainer.feed)
    model = trainer.model
    model.encoder.forward = clock.timed("encoder", model.encoder.forward)
    model.quantizer.forward = clock.timed("quantiser", model.quantizer.forward)
    model.decoder.forward = clock.timed("decoder", model.decoder.forward)
    objective = trainer.objective
    objective.reconstruction.forward = clock.timed("losses", objective.reconstruction.forward)
    if objective.opponent is not None:
        objective.opponent.judge = clock.timed("discriminators", objective.opponent.judge)
    objective._gradient = clock.timed("gradient at the output", objective._gradient)
    backward = clock.timed("backward through the model", torch.autograd.backward, "discriminators")
    torch.autograd.backward = backward
    trainer.optimizer.step = clock.timed("optimiser", trainer.optimizer.step)
    objective.learn = clock.timed("optimiser of the discriminators", objective.learn)
    trainer.average.follow = clock.timed("average of the weights", trainer.average.follow)


def _show(clock: Clock, totals: list[float], audio_seconds: float) -> None:
    table = Table("part", "ms a step", "share")
    whole, steps = sum(clock.seconds.values()), len(totals)
    for name, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{1000 * seconds / steps:.1f}", f"{100 * seconds / whole:.1f} %")
    table.add_section()
    table.add_row("step", f"{1000 * mean(totals):.0f}", f"{audio_seconds / mean(totals):.1f}x real time")
    table.add_row(
        "fastest step", f"{1000 * min(totals):.0f}", f"{audio_seconds / min(totals):.1f}x real time"
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    table.add_row("largest memory", f"{memory:.0f} MB", "")
    Console().print(table)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--at", type=int, default=10_000)
    parser.add_argument("--model", default="speech-16k")
    options = parser.parse_args()
    prepare_to_compute()
    measure(options.recipe, [f"start={options.model}", *options.overrides], options.steps, options.at)


if __name__ == "__main__":
    main()
