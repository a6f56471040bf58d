"""Doing many files, here or in several processes, so that one that fails never stops the others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from audiocodec.cli.parts.output import Failure, Output, failure
from audiocodec.cli.parts.stores import open_store
from audiocodec.process import compute_in_one_thread
from audiocodec.work import Backend, WorkerLost, spread

if TYPE_CHECKING:
    from audiocodec.codec import Codec

T = TypeVar("T")

Work = Callable[[Any, Callable[[float], None]], T]
"""Does one task; told the share that is done through the second argument. Must be importable by name."""


@cache
def codec_for(
    model: str | None, device: str, codebook_id: str | None = None, store: Path | None = None
) -> Codec:
    """Load a model once in this process, with a codebook of its own or out of a store."""
    if codebook_id is not None:
        return codec_for(model, device, None, store).with_codebook(codebook_id)
    from audiocodec.codec import load

    compute_in_one_thread()
    return load(model, device, None if store is None else open_store(store))


def run(
    work: Work[T], tasks: Sequence[Any], names: Sequence[Any], backend: Backend, output: Output, title: str
) -> Generator[tuple[int, T | Failure]]:
    """Do all tasks; gives (number of the task, result or failure) as they end. `names` are for messages.

    One job or one task needs no process of its own. Close the generator when leaving it early
    (`contextlib.closing`), so that its processes end at once.
    """
    if backend.kind == "local" and (backend.jobs == 1 or len(tasks) < 2):
        backend = Backend("here")
    with output.progress(title, len(tasks)) as show, backend.workers(len(tasks)) as workers:
        calls = enumerate((work, *task) for task in zip(tasks, names, strict=True))
        if backend.kind == "here":  # no other process can show how much of a task is done
            calls = ((number, (*call, partial(_show_share, show, number))) for number, call in calls)
        for done, (number, result) in enumerate(spread(workers, _try, lambda: next(calls, None)), 1):
            yield number, _lost(result) if isinstance(result, WorkerLost) else result
            show(done)


def _show_share(show: Callable[[float], None], done: int, share: float) -> None:
    show(done + share)


def _lost(lost: WorkerLost) -> Failure:
    """What became of a task whose process died, perhaps for lack of memory."""
    if lost.exit_code is None:
        return Failure("WorkerLost", f"its worker died ({lost.reason})")
    return Failure("WorkerLost", f"its process ended early ({lost.reason}); try fewer --jobs")


def _try(work: Work[T], task: Any, name: Any, progress: Callable[[float], None] | None = None) -> T | Failure:
    try:
        return work(task, progress or (lambda share: None))
    except Exception as error:
        return failure(error, name)
