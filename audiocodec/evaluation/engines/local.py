"""Units in this process, or in several processes of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiocodec.evaluation.engines.worker import run_workers
from audiocodec.evaluation.tasks import score_unit
from audiocodec.work import Pool

if TYPE_CHECKING:
    from audiocodec.evaluation.engines.schedule import Job, Schedule


def run_here(schedule: Schedule) -> None:
    """Do all units in this process, one after the other."""
    while (job := schedule.take()) is not None:
        schedule.finished(job, score_unit(schedule.setup, job.unit))


def run_pool(schedule: Schedule, jobs: int) -> None:
    """Do all units in `jobs` processes; one that dies or hangs is replaced, and costs at most its row.

    Raises:
        InputError: a process could not even start.
    """
    pool: Pool[Job]
    with Pool(min(jobs, len(schedule)), schedule.setup) as pool:
        run_workers(schedule, pool, pool.slots)
