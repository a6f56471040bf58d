"""Units in this process, or in several processes of this machine."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, cast

from audiocodec.errors import InputError
from audiocodec.evaluation.engines.worker import TIMED_OUT, one_thread, serve
from audiocodec.evaluation.tasks import score_unit

if TYPE_CHECKING:
    from audiocodec.evaluation.engines.schedule import Job, Schedule
    from audiocodec.evaluation.tasks import Setup


def run_here(schedule: Schedule) -> None:
    """Do all units in this process, one after the other."""
    while (job := schedule.take()) is not None:
        schedule.finished(job, score_unit(schedule.setup, job.unit))


def run_pool(schedule: Schedule, jobs: int) -> None:
    """Do all units in `jobs` processes; one that dies or hangs is replaced, and costs at most its row.

    Raises:
        InputError: a process could not even start.
    """
    workers = [_Worker(schedule.setup) for _ in range(max(1, min(jobs, len(schedule))))]
    try:
        for worker in workers:
            worker.await_start()
        while True:
            for number, worker in enumerate(workers):
                if worker.job is None and (job := schedule.take()) is not None and not worker.send(job):
                    workers[number] = worker.replaced()
                    workers[number].send(job)
            busy = {worker.connection: number for number, worker in enumerate(workers) if worker.job}
            if not busy:
                return
            for connection in wait(list(busy)):
                number = busy[cast("Connection", connection)]
                if not workers[number].collect(schedule):
                    workers[number] = workers[number].replaced()
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """One process and what it is doing."""

    def __init__(self, setup: Setup) -> None:
        context = multiprocessing.get_context("spawn")  # forking a process that has threads may hang
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        with one_thread():
            self.process.start()
        theirs.close()  # so that its end shows here
        self.job: Job | None = None
        self.setup = setup
        self.connection.send(setup)

    def await_start(self) -> None:
        """Wait until it is ready.

        Raises:
            InputError: it died, or could not load what it needs.
        """
        try:
            problem = self.connection.recv()
        except (EOFError, OSError) as error:
            self.process.join()
            raise InputError(
                f"a worker process ended while it started (exit code {self.process.exitcode});"
                " try fewer --jobs"
            ) from error
        if problem is not None:
            raise InputError(f"a worker process could not start: {problem}")

    def send(self, job: Job) -> bool:
        """Give it a job; False when it is dead."""
        try:
            self.connection.send(job.unit)
        except (BrokenPipeError, OSError):
            return False
        self.job = job
        return True

    def collect(self, schedule: Schedule) -> bool:
        """Take its rows; False when it died over them."""
        assert self.job is not None
        job, self.job = self.job, None
        try:
            rows: Any = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            timed_out = code == TIMED_OUT
            reason = "it took too long and was ended" if timed_out else f"its process died ({_cause(code)})"
            schedule.crashed(job, reason, timed_out)
            return False
        schedule.finished(job, rows)
        return True

    def replaced(self) -> _Worker:
        """A new one in its place."""
        self.stop()
        worker = _Worker(self.setup)
        worker.await_start()
        return worker

    def stop(self) -> None:
        """End it, whatever it does."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def _cause(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
