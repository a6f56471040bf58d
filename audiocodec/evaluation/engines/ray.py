"""Units on a Ray cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiocodec.cluster import Cluster
from audiocodec.evaluation.engines.worker import run_workers

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
        run_workers(schedule, cluster, WAITING_FOR_EACH * cluster.slots, cluster.share(schedule.setup))
