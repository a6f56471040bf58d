"""Batches made ahead in the background, so that a step never waits for reading and effects."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Gives what `make_batch(step)` makes, in order of steps: an iterator without end, a context manager.

    `make_batch` must depend on the step alone (its own random generator, never a global one): then making
    batches ahead, in however many threads, changes nothing. Threads are enough, as decoding, numpy and torch
    leave the interpreter to others while they compute.

    Attributes:
        step: the step whose batch comes next.
        waited_seconds: for how long the caller has waited for batches so far.
        making_seconds: how long batches were in the making so far, all threads together.
    """

    def __init__(
        self,
        make_batch: Callable[[int], T],
        start_step: int = 0,
        depth: int = 4,
        workers: int = 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Make up to `depth` batches ahead in `workers` threads; with depth 0 each is made when asked for.

        Raises:
            InputError: `depth` is below 0 or `workers` below 1.
        """
        if depth < 0 or workers < 1:
            raise InputError(f"depth {depth} and {workers} workers; give 0 or more, and 1 or more")
        self.step, self.depth = start_step, depth
        self.waited_seconds = self.making_seconds = 0.0
        self._make_batch, self._clock = make_batch, clock
        self._ahead: deque[Future[tuple[T, float]]] = deque()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="prefetch") if depth else None
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
            raise InputError("this prefetcher is closed; make a new one from the step to go on with")
        began = self._clock()
        try:
            batch, seconds = self._timed(self.step) if self._pool is None else self._from(self._pool)
        except BaseException:
            self.close()
            raise
        self.step += 1
        self.making_seconds += seconds
        self.waited_seconds += self._clock() - began
        return batch

    def close(self) -> None:
        """Forget batches made ahead, and wait for those in the making; may be called again."""
        self._closed = True
        self._ahead.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Prefetcher[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _from(self, pool: ThreadPoolExecutor) -> tuple[T, float]:
        self._fill(pool)
        result = self._ahead[0].result()
        self._ahead.popleft()
        # Filled after the batch is taken: the step that follows runs beside the making of `depth` others.
        self._fill(pool, self.step + 1)
        return result

    def _fill(self, pool: ThreadPoolExecutor, first: int | None = None) -> None:
        first = self.step if first is None else first
        while len(self._ahead) < self.depth:
            self._ahead.append(pool.submit(self._timed, first + len(self._ahead)))

    def _timed(self, step: int) -> tuple[T, float]:
        began = self._clock()
        return self._make_batch(step), self._clock() - began
