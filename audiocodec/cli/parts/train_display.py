"""Progress of `audiocodec train`: a bar on a terminal, lines elsewhere, JSON with --json."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from audiocodec.cli.parts.output import Output, tell
from audiocodec.printing import printable

SHOWN = ("total", "mel", "spectrum", "commitment", "adversarial", "feature", "discriminator")
SCORES = ("pesq_wb", "stoi")
"""Scores of a validation that are shown, without noise; the log has more."""
SPEED = "audio_seconds_per_second"
VALID = "valid/"


class TrainDisplay:
    """Shows the lines of the log; a context manager."""

    def __init__(
        self, output: Output, first: int, steps: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """For a run from step `first` up to `steps`."""
        self.output, self.first, self.steps, self.clock = output, first, steps, clock
        self.began = clock()
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> TrainDisplay:
        if sys.stderr.isatty() and not self.output.quiet and not self.output.as_json:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                MofNCompleteColumn(),
                BarColumn(20),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
            )
            self.bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=2)
            self.bar.start()
            self.task = self.bar.add_task("starting", total=self.steps, completed=self.first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def report(self, step: int, scalars: Mapping[str, float]) -> None:
        """Show one line of the log."""
        scores = {n.removeprefix(VALID): value for n, value in scalars.items() if n.startswith(VALID)}
        if self.output.as_json:
            from audiocodec.training.log import rounded

            group = "valid" if scores else "train"
            self.output.result({"group": group, "step": step, **rounded(scores or scalars)})
        elif self.output.quiet:
            return
        elif scores:
            plain = {name: v for name, v in scores.items() if name.count("/") == 1}
            shown = (f"{name} {v:.3f}" for name, v in plain.items() if name.startswith(SCORES))
            self._line(f"step {step}  validation: {', '.join(shown)}")
        elif self.bar is not None:
            self.bar.update(self.task, completed=step, description=self._losses(step, scalars))
        else:
            self._line(f"step {step}/{self.steps}  {self._losses(step, scalars)}")

    def _line(self, text: str) -> None:
        if self.bar is not None:
            self.bar.console.print(printable(text), highlight=False, markup=False)
        else:
            tell(text)

    def _losses(self, step: int, scalars: Mapping[str, float]) -> str:
        left = (self.clock() - self.began) / max(1, step - self.first) * (self.steps - step)
        losses = "  ".join(f"{name} {scalars[name]:.4g}" for name in SHOWN if name in scalars)
        return f"{losses}  {scalars.get(SPEED, 0.0):.0f}x real time  {_duration(left)} left"


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"
