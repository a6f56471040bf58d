"""Doing many files, here or in several processes, so that one that fails never stops the others."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from audiocodec.cli.parts.engine import run_on_cluster
from audiocodec.cli.parts.output import Failure, Output, failure
from audiocodec.cli.parts.stores import open_store
from audiocodec.cluster import WorkerLost

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
    import torch

    from audiocodec.codec import load

    # The matrices are small: more threads gain little, and wait for each other when the machine is busy.
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # near-silence would otherwise be computed many times slower
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
) -> Iterator[tuple[int, T | Failure]]:
    """Do all tasks; gives (number of the task, result or failure) as they end. `names` are for messages."""
    with output.progress(title, len(tasks)) as show:
        if ray is not None:
            arguments = [(work, task, name) for task, name in zip(tasks, names, strict=True)]
            for done, (number, result) in enumerate(run_on_cluster(_try, arguments, ray.address, jobs), 1):
                if isinstance(result, WorkerLost):
                    result = Failure("WorkerLost", f"its worker died ({result.reason})")
                yield number, result
                show(done)
            return
        if jobs == 1 or len(tasks) == 1:
            for number, task in enumerate(tasks):
                yield number, _try(work, task, names[number], lambda share, n=number: show(n + share))
                show(number + 1)
            return
        context = multiprocessing.get_context("spawn")  # forking a process that has threads may hang
        with ProcessPoolExecutor(min(jobs, len(tasks)), context) as pool:
            futures = {pool.submit(_try, work, task, names[i]): i for i, task in enumerate(tasks)}
            for done, future in enumerate(as_completed(futures), 1):
                yield futures[future], _outcome(future)
                show(done)


def _outcome(future: Future[T | Failure]) -> T | Failure:
    try:
        return future.result()
    except Exception as error:  # the process died, of memory perhaps
        return Failure(type(error).__name__, f"the process ended early ({error}); try fewer --jobs")


def _try(work: Work[T], task: Any, name: Any, progress: Callable[[float], None] | None = None) -> T | Failure:
    try:
        return work(task, progress or (lambda share: None))
    except Exception as error:
        return failure(error, name)
