"""Tells of a run while it goes on: the log, scores, models and checkpoints that a validation leaves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from audiocodec.training.best import best_score
from audiocodec.training.run.changes import write_config
from audiocodec.training.run.folder import BEST_NAME
from audiocodec.training.run.log import Means, RunLog, to_floats
from audiocodec.training.run.report import write_report
from audiocodec.training.run.state import best_checkpoint, save_state
from audiocodec.training.validation import say_what_is_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from torch import Tensor

    from audiocodec.training.engine.feed import Drawn
    from audiocodec.training.loop import Trainer


class Recorder:
    """Takes in the scalars of each step and writes what is due; a context manager.

    Every process of a training has one, and calls it in step with the others; only the first writes.
    """

    def __init__(self, trainer: Trainer, report: Callable[[int, Mapping[str, float]], None]) -> None:
        """Write the recipe of the run, and open its log; `report(step, scalars)` gets every line too."""
        self.trainer, self.report = trainer, report
        self.means, self.waited = Means(), 0.0
        self.pending: list[tuple[Mapping[str, Tensor], float]] = []
        self.environments: Counter[str] = Counter()
        self.switched: list[float] = []
        self.exported: int | None = None
        self.log: RunLog | None = None
        if trainer.processes.first:
            write_config(trainer.folder, trainer.config, trainer.step_number)
            self.log = RunLog(trainer.folder, trainer.step_number)
            if trainer.clips and trainer.config.judge_clips:
                say_what_is_missing()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.log is not None:
            self.log.close()
            if error is None:
                self._write_report()

    def add(self, scalars: Mapping[str, Tensor], seconds: float, drawn: Sequence[Drawn]) -> None:
        """Take in one step, how long it took, and what was drawn for it; waits for no device."""
        self.pending.append((scalars, seconds))
        for part in drawn:
            self.environments.update(part.scenes.environments)
            if part.scenes.denoise is not None:
                self.switched.append(float(part.scenes.denoise.float().mean()))

    def log_training(self, waited_seconds: float) -> None:
        """Log the means since the last time; all steps so far waited `waited_seconds` for their data."""
        config, processes = self.trainer.config, self.trainer.processes
        self._fetch()
        examples = self.means.steps * config.accumulate * config.data.batch_size * processes.world_size
        seconds = max(self.means.seconds, 1e-9)
        told = self.means.take()
        losses = [name for name in self.trainer.objective.names if name in told]
        scalars = processes.mean_scalars(told, losses) | {
            "audio_seconds_per_second": examples * config.data.segment_seconds / seconds,
            "waiting_share": (waited_seconds - self.waited) / seconds,
        }
        total = self.environments.total()
        scalars |= {f"environment/{name}": count / total for name, count in sorted(self.environments.items())}
        if self.switched:
            scalars["denoise"] = sum(self.switched) / len(self.switched)
        self.waited, self.environments, self.switched = waited_seconds, Counter(), []
        self._write("train", scalars)

    def _fetch(self) -> None:
        """Take in the scalars of the steps so far; what a GPU still has to do of them counts as theirs."""
        began = self.trainer.clock() if self.trainer.guard.deferred else None
        for scalars, seconds in self.pending:
            self.means.add(to_floats(scalars), seconds)
        self.pending.clear()
        if began is not None:
            self.means.seconds += self.trainer.clock() - began

    def export(self) -> None:
        """Write the averaged model, unless it was after this step."""
        if self.trainer.processes.first and self.exported != self.trainer.step_number:
            self.trainer.export()
            self.exported = self.trainer.step_number

    def log_validation(self) -> None:
        """Export the averaged model, score it, and keep a checkpoint if it is among the best."""
        trainer = self.trainer
        self.export()
        found = trainer.validate()
        if found is not None:
            best = best_score(found.scores, trainer.best_score)
            self._write("valid", found.scores | ({} if best is None else {"best_score": best}))
            if self.log is not None:
                self.log.show(trainer.step_number, found, trainer.model.sample_rate)
                self._write_report()
            if trainer.config.keep_best:
                path = save_state(trainer, best)
                if path is not None and path == best_checkpoint(trainer.folder):
                    trainer.export(BEST_NAME)

    def _write_report(self) -> None:
        trainer, augmenter = self.trainer, self.trainer.feed.augmenter
        sampler = trainer.data.sampler
        skipped = dict(sampler.skipped) | (augmenter.sources.unreadable if augmenter else {})
        write_report(trainer.folder, trainer.config, trainer.device, skipped, sampler.skips)

    def _write(self, group: str, scalars: Mapping[str, float]) -> None:
        if self.log is not None:
            step, start = self.trainer.step_number, "" if group == "train" else f"{group}/"
            self.log.write(group, step, scalars)
            self.report(step, {f"{start}{name}": value for name, value in scalars.items()})
