"""Where a command does its work: options of `encode` and `evaluate`, and files done on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar

import typer

from audiocodec.cluster import Cluster, WorkerLost

T = TypeVar("T")

Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(help="Processes of this machine, or a Ray cluster, whose machines see the same files."),
]
Address = Annotated[
    str | None, typer.Option(metavar="HOST", help="Of the Ray cluster; default: one on this machine.")
]

WAITING_FOR_EACH = 4
"""Tasks handed to Ray for each of its CPUs."""


def run_on_cluster(
    function: Callable[..., T], arguments: Sequence[tuple[Any, ...]], address: str | None, jobs: int
) -> Iterator[tuple[int, T | WorkerLost]]:
    """Call `function` with each of `arguments` on a cluster; gives (number, result) as they end.

    Raises:
        MissingPackageError: ray is not installed.
        InputError: the cluster cannot be reached.
    """
    cluster: Cluster[int]
    with Cluster(address, jobs) as cluster:
        submitted, most = 0, WAITING_FOR_EACH * cluster.slots
        while submitted < len(arguments) or len(cluster):
            while submitted < len(arguments) and len(cluster) < most:
                cluster.submit(submitted, function, *arguments[submitted])
                submitted += 1
            yield cluster.next()
