"""Work done ahead in threads, with results in order: batches of training steps, and decoded files."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from types import TracebackType

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 4
"""Finished results for each thread that may wait for their turn, by default."""


def in_order(
    work: Callable[[T], R], tasks: Iterable[T], jobs: int, ahead: int | None = None
) -> Generator[R, None, None]:
    """Yield `work(task)` of every task in order; `jobs` threads work on up to `ahead` tasks after this one.

    With `ahead` 0 (the default for one job) there are no threads. Closing the generator ends the threads.
    """
    ahead = (AHEAD * jobs - 1 if jobs > 1 else 0) if ahead is None else ahead
    if not ahead:
        yield from map(work, tasks)
        return
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="ahead")
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class Prefetcher(Generic[T]):
    """Endless iterator over `make_batch(step)` in the order of steps, and a context manager.

    `make_batch` must depend on the step alone (with a random generator of its own, never a global one): the
    batches are the same for any number of threads then. Threads are enough, as decoding, numpy and torch
    release the interpreter lock while they compute.

    Attributes:
        step: the step of the next batch.
        waited_seconds: time that the caller has waited for batches so far.
        making_seconds: time spent in `make_batch` so far, the sum of all threads.
    """

    def __init__(
        self,
        make_batch: Callable[[int], T],
        start_step: int = 0,
        depth: int = 4,
        workers: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Make up to `depth` batches ahead in `workers` threads; with depth 0 each is made when needed.

        Raises:
            InputError: `depth` is below 0 or `workers` below 1.
        """
        if depth < 0 or workers < 1:
            raise InputError(f"depth {depth} and {workers} workers; give 0 or more, and 1 or more")
        self.step = start_step
        self.waited_seconds = self.making_seconds = 0.0
        self._make_batch, self._clock = make_batch, clock
        self._results = in_order(self._timed, count(start_step), workers, depth)
        self._closed = False

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """The batch of the next step.

        Raises:
            Exception: whatever `make_batch` raised for this step; the prefetcher is closed then.
            InputError: it is closed.
        """
        if self._closed:
            raise InputError("this prefetcher is closed; make a new one that starts at the next step")
        began = self._clock()
        try:
            batch, seconds = next(self._results)
        except BaseException:
            self.close()
            raise
        self.step += 1
        self.making_seconds += seconds
        self.waited_seconds += self._clock() - began
        return batch

    def close(self) -> None:
        """Drop batches made ahead and wait for those in the making; may be called again."""
        self._closed = True
        self._results.close()

    def __enter__(self) -> Prefetcher[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _timed(self, step: int) -> tuple[T, float]:
        began = self._clock()
        return self._make_batch(step), self._clock() - began
