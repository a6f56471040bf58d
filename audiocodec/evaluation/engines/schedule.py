"""Which unit comes next, and what becomes of units whose worker died and of codecs that always fail."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from audiocodec.evaluation.rows import Row
from audiocodec.evaluation.tasks import Setup, Unit, failed_row

GIVE_UP_AFTER = 10
"""Failures in a row after which a codec is left alone: each may have cost its whole time limit."""

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
    The engines share this: they only run what `take` gives.
    """

    def __init__(self, setup: Setup, units: Iterable[Unit], record: Record) -> None:
        self.setup, self.record = setup, record
        self._waiting = deque(Job(unit) for unit in units)
        self._failures: Counter[int] = Counter()
        self._given_up: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._waiting)

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
