"""Units on a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiocodec.cluster import Cluster, WorkerLost
from audiocodec.evaluation.engines.worker import score_watched

if TYPE_CHECKING:
    from audiocodec.evaluation.engines.schedule import Job, Schedule

WAITING_FOR_EACH = 2
"""Tasks handed to Ray for each of its CPUs: enough that none is idle, few enough to stop soon."""


def run_ray(schedule: Schedule, address: str | None = None, jobs: int | None = None) -> None:
    """Do all units on the cluster at `address`, or on this machine by `jobs` workers.

    Raises:
        MissingPackageError: ray is not installed.
        InputError: the cluster cannot be reached.
    """
    cluster: Cluster[Job]
    with Cluster(address, jobs) as cluster:
        setup, most = cluster.share(schedule.setup), WAITING_FOR_EACH * cluster.slots
        while True:
            while len(cluster) < most and (job := schedule.take()) is not None:
                cluster.submit(job, score_watched, setup, job.unit)
            if not len(cluster):
                return
            job, result = cluster.next()
            if isinstance(result, WorkerLost):
                # Ray has tried it several times already.
                schedule.crashed(job, f"its worker died or took too long ({result.reason})", timed_out=True)
            else:
                schedule.finished(job, result)
