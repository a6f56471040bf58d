"""Doing all units: which comes next, and what happens when a worker dies or a codec always fails."""

from __future__ import annotations

import faulthandler
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from audiocodec.evaluation.coders import ModelCoder
from audiocodec.evaluation.rows import Row
from audiocodec.evaluation.tasks import Setup, Unit, failed_row, score_unit
from audiocodec.process import compute_in_one_thread
from audiocodec.work import Backend, WorkerLost, spread

GIVE_UP_AFTER = 10
"""Failures in a row after which a codec is not run any more: each may have cost its whole time limit."""
TIMED_OUT = 1
"""Exit code of a worker that exceeded its time limit: that of `faulthandler`, which ends it."""

Record = Callable[[Unit, Sequence[Row]], None]
"""Takes the rows of a unit, or of a part of it, as they come."""


@dataclass(frozen=True)
class Job:
    """A unit to do, and how often a worker died of it alone."""

    unit: Unit
    attempt: int = 0


class Schedule:
    """Gives out units and takes their rows, each row once, whatever happens to the workers.

    A unit whose worker died is done again row by row, so that only the row that kills stays without scores.
    """

    def __init__(self, setup: Setup, units: Iterable[Unit], record: Record) -> None:
        self.setup, self.record = setup, record
        self._waiting = deque(Job(unit) for unit in units)
        self._failures: Counter[int] = Counter()
        self._given_up: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def run(self, backend: Backend) -> None:
        """Do all units; a worker that dies or hangs is replaced, and costs at most its row.

        Raises:
            InputError: a worker could not start, or the Ray cluster cannot be reached.
            MissingPackageError: ray is not installed.
        """
        if not self._waiting:
            return
        function = score_unit if backend.kind == "here" else score_with_limit
        with backend.workers(len(self), self.setup) as workers:
            for job, result in spread(workers, function, self._next_call):
                if not isinstance(result, WorkerLost):
                    self.finished(job, result)
                elif result.exit_code is None:  # Ray has tried it several times already
                    reason = f"its worker died or took too long ({result.reason})"
                    self.crashed(job, reason, timed_out=True)
                elif result.exit_code == TIMED_OUT:
                    self.crashed(job, "it took too long and was ended", timed_out=True)
                else:
                    self.crashed(job, f"its process died ({result.reason})")

    def _next_call(self) -> tuple[Job, tuple[Unit]] | None:
        job = self.take()
        return None if job is None else (job, (job.unit,))

    def take(self) -> Job | None:
        """The next job; None when there is none now (a worker that dies may bring one back)."""
        while self._waiting:
            job = self._waiting.popleft()
            left = tuple(work for work in job.unit.work if work[0] not in self._given_up)
            if left != job.unit.work:
                dropped = [work for work in job.unit.work if work[0] in self._given_up]
                reasons = [f"given up: {self._given_up[number]}" for number, _ in dropped]
                self._fail(job.unit, dropped, reasons)
                job = replace(job, unit=replace(job.unit, work=left))
            if left:
                return job
        return None

    def finished(self, job: Job, rows: Sequence[Row]) -> None:
        """Take the rows of a job that was done."""
        for (number, _), row in zip(job.unit.work, rows, strict=True):
            if row.get("stage") == "codec":
                self._count(number, row["error"])
            elif "error" not in row:
                self._failures[number] = 0
        self.record(job.unit, rows)

    def crashed(self, job: Job, reason: str, timed_out: bool = False) -> None:
        """Do a job again, row by row; a row tried twice alone, or that hung alone, gets the reason."""
        work = job.unit.work
        number, _ = work[0]
        if len(work) > 1:
            self._waiting.extendleft(Job(replace(job.unit, work=(one,))) for one in reversed(work))
        elif job.attempt == 0 and not timed_out:
            self._waiting.appendleft(replace(job, attempt=1))
        else:
            self._count(number, reason)
            self._fail(job.unit, work, [reason])

    def _count(self, number: int, reason: str) -> None:
        self._failures[number] += 1
        if self._failures[number] >= GIVE_UP_AFTER:
            self._given_up[number] = f"it failed {GIVE_UP_AFTER} times in a row, last: {reason}"

    def _fail(self, unit: Unit, work: Sequence[tuple[int, float]], reasons: Sequence[str]) -> None:
        rows = [
            failed_row(unit, self.setup, one, reason, stage="codec")
            for one, reason in zip(work, reasons, strict=True)
        ]
        self.record(replace(unit, work=tuple(work)), rows)


def score_with_limit(setup: Setup, unit: Unit) -> list[Row]:
    """`score_unit` in a process that ends, with exit code TIMED_OUT, when a step takes too long.

    Code that never returns to Python is ended so as well.
    """
    if any(isinstance(coder, ModelCoder) for coder in setup.coders):
        compute_in_one_thread()
    with open(os.devnull, "w") as nowhere:

        def limit(seconds: float) -> None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)

        try:
            return score_unit(setup, unit, limit)
        finally:
            faulthandler.cancel_dump_traceback_later()
