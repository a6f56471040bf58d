"""What processes do that work for others, and how a schedule and they come together."""

from __future__ import annotations

import faulthandler
import os
from typing import TYPE_CHECKING, Any

from audiocodec.evaluation.coders import ModelCoder
from audiocodec.evaluation.tasks import score_unit
from audiocodec.work import WorkerLost, Workers, compute_in_one_thread

if TYPE_CHECKING:
    from audiocodec.evaluation.engines.schedule import Job, Schedule
    from audiocodec.evaluation.rows import Row
    from audiocodec.evaluation.tasks import Setup, Unit

TIMED_OUT = 1
"""Exit code of a worker that ran over its limit: that of `faulthandler`, which ends it."""


def run_workers(schedule: Schedule, workers: Workers[Job], most: int, *shared: Any) -> None:
    """Do all units, of which `most` are handed over at a time; `shared` go before the unit."""
    while True:
        while len(workers) < most and (job := schedule.take()) is not None:
            workers.submit(job, score_watched, *shared, job.unit)
        if not len(workers):
            return
        job, result = workers.next()
        if not isinstance(result, WorkerLost):
            schedule.finished(job, result)
        elif result.exit_code is None:
            # Ray has tried it several times already.
            schedule.crashed(job, f"its worker died or took too long ({result.reason})", timed_out=True)
        elif result.exit_code == TIMED_OUT:
            schedule.crashed(job, "it took too long and was ended", timed_out=True)
        else:
            schedule.crashed(job, f"its process died ({result.reason})")


def score_watched(setup: Setup, unit: Unit) -> list[Row]:
    """`score_unit` in a process that ends, with exit code TIMED_OUT, when a step takes too long.

    Also code that never gives Python a chance is ended so.
    """
    if any(isinstance(coder, ModelCoder) for coder in setup.coders):
        compute_in_one_thread()
    with open(os.devnull, "w") as nowhere:

        def watch(seconds: float) -> None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)

        try:
            return score_unit(setup, unit, watch)
        finally:
            faulthandler.cancel_dump_traceback_later()
