"""Doing many files, here or in several processes, so that one that fails never stops the others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from audiocodec.cli.parts.output import Failure, Output, failure
from audiocodec.cli.parts.stores import open_store
from audiocodec.cluster import Cluster
from audiocodec.work import Pool, WorkerLost, compute_in_one_thread, spread

if TYPE_CHECKING:
    from audiocodec.codec import Codec

T = TypeVar("T")


@dataclass(frozen=True)
class Ray:
    """Tasks are done on the Ray cluster at `address`; None: on one that is started on this machine."""

    address: str | None = None


Work = Callable[[Any, Callable[[float], None]], T]
"""Does one task; told the share that is done through the second argument. Must be importable by name."""


@cache
def codec_for(
    model: str | None, device: str, codebook: str | None = None, store: Path | None = None
) -> Codec:
    """Load a model once in this process, with a codebook of its own or out of a store."""
    from audiocodec.codec import load

    compute_in_one_thread()
    codec = load(model, device, None if store is None else open_store(store))
    return codec if codebook is None else codec.with_codebook(codebook)


def run(
    work: Work[T],
    tasks: Sequence[Any],
    names: Sequence[Any],
    jobs: int,
    output: Output,
    title: str,
    ray: Ray | None = None,
) -> Generator[tuple[int, T | Failure]]:
    """Do all tasks; gives (number of the task, result or failure) as they end. `names` are for messages.

    Close it when leaving it early (`contextlib.closing`), so that its processes end at once.
    """
    with output.progress(title, len(tasks)) as show:
        if ray is None and (jobs == 1 or len(tasks) < 2):
            for number, task in enumerate(tasks):
                yield number, _try(work, task, names[number], lambda share, n=number: show(n + share))
                show(number + 1)
            return
        arguments = [(work, task, name) for task, name in zip(tasks, names, strict=True)]
        workers: Pool[int] | Cluster[int]
        workers = Pool(min(jobs, len(tasks))) if ray is None else Cluster(ray.address, jobs)
        with workers:
            for done, (number, result) in enumerate(spread(workers, _try, arguments), 1):
                yield number, _lost(result, ray is None) if isinstance(result, WorkerLost) else result
                show(done)


def _lost(lost: WorkerLost, here: bool) -> Failure:
    """What became of a task whose process died, of memory perhaps."""
    if here:
        return Failure("WorkerLost", f"its process ended early ({lost.reason}); try fewer --jobs")
    return Failure("WorkerLost", f"its worker died ({lost.reason})")


def _try(work: Work[T], task: Any, name: Any, progress: Callable[[float], None] | None = None) -> T | Failure:
    try:
        return work(task, progress or (lambda share: None))
    except Exception as error:
        return failure(error, name)
