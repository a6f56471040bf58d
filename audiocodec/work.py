"""Many tasks at once: in this process, in processes of this machine, or on a Ray cluster, by one interface.

`concurrent.futures` and its kin fail all tasks when one process dies, do not say which task killed it, and
leave their processes behind when the parent is killed. This pool loses one task, names it, and always ends.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import FrameType, TracebackType
from typing import Any, Generic, Literal, TypeVar

from audiocodec.errors import InputError, require
from audiocodec.printing import print_logs_plainly
from audiocodec.process import STOP_SIGNALS, exit_for, handling, one_thread_for_children

Tag = TypeVar("Tag")

GRACE_SECONDS = 1.5
"""Time in which a process that was told to stop removes what it was writing, before it is killed."""
RAY_RETRIES = 3
"""Times that Ray does a task again when its worker or machine dies."""
RAY_PRIORITY = ("RAY_worker_niceness", "0")
"""Ray's workers are no less important than processes of `--jobs`; Ray's own value is 15."""
_PR_SET_PDEATHSIG = 1  # number of linux/prctl.h


@dataclass(frozen=True)
class Backend:
    """Where tasks are done.

    Attributes:
        kind: here: in this process; local: in processes of this machine; ray: on a Ray cluster.
        jobs: processes, or workers of a Ray cluster that is started on this machine.
        address: a Ray cluster that runs already; None: RAY_ADDRESS, or start one.
    """

    kind: Literal["here", "local", "ray"] = "here"
    jobs: int = 1
    address: str | None = None

    def workers(self, num_tasks: int, *shared: Any) -> Workers[Any]:
        """Who does the tasks, each as `function(*shared, *arguments)`; no more of them than tasks."""
        if self.kind == "ray":
            return Cluster(self.address, self.jobs, *shared)
        return Here(*shared) if self.kind == "here" else Pool(min(self.jobs, num_tasks), *shared)


class WorkerLost:
    """In place of a result: the worker died. `exit_code` is known for processes of this machine only."""

    def __init__(self, reason: str, exit_code: int | None = None) -> None:
        self.reason, self.exit_code = reason, exit_code


class Workers(ABC, Generic[Tag]):
    """Who does tasks; a context manager, which ends them all when its block ends.

    Attributes:
        capacity: tasks to submit before waiting for a result: enough that no worker is idle.
    """

    capacity: int = 1

    @abstractmethod
    def __enter__(self) -> Workers[Tag]:
        """Start.

        Raises:
            InputError: a worker died as it started, or the cluster cannot be reached.
            MissingPackageError: ray is not installed.
        """

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def stop(self) -> None:
        """End all tasks and workers."""

    @abstractmethod
    def __len__(self) -> int:
        """Tasks that wait or run."""

    @abstractmethod
    def submit(self, tag: Tag, function: Callable[..., Any], *arguments: Any) -> None:
        """Take a task; `function` must be importable by name on every machine."""

    @abstractmethod
    def next(self) -> tuple[Tag, Any | WorkerLost]:
        """Wait for any task to end; gives its tag and its result."""


def spread(
    workers: Workers[Tag],
    function: Callable[..., Any],
    take: Callable[[], tuple[Tag, tuple[Any, ...]] | None],
) -> Iterator[tuple[Tag, Any | WorkerLost]]:
    """Call `function` for every task; gives (tag, result) as they end.

    `take` gives the tag and arguments of the next task. After None it is asked again when a running task has
    ended: a task that was lost may have come back.
    """
    while True:
        while len(workers) < workers.capacity and (task := take()) is not None:
            tag, arguments = task
            workers.submit(tag, function, *arguments)
        if not len(workers):
            return
        yield workers.next()


class Here(Workers[Tag]):
    """This process, which does a task when its result is asked for."""

    def __init__(self, *shared: Any) -> None:
        self._shared = shared
        self._queue: deque[tuple[Tag, Callable[..., Any], tuple[Any, ...]]] = deque()

    def __enter__(self) -> Here[Tag]:
        return self

    def stop(self) -> None:
        """Nothing runs that could be stopped."""

    def __len__(self) -> int:
        return len(self._queue)

    def submit(self, tag: Tag, function: Callable[..., Any], *arguments: Any) -> None:
        """See `Workers`."""
        self._queue.append((tag, function, arguments))

    def next(self) -> tuple[Tag, Any]:
        """Do the oldest task."""
        tag, function, arguments = self._queue.popleft()
        return tag, function(*self._shared, *arguments)


class Cluster(Workers[Tag]):
    """Workers of a Ray cluster. Files must be readable by the same path on every machine.

    A task whose worker dies is done again, up to RAY_RETRIES times, and gives one result.
    """

    def __init__(self, address: str | None = None, num_cpus: int | None = None, *shared: Any) -> None:
        """Connect to `address`; None: RAY_ADDRESS, else a cluster of this machine with `num_cpus` workers."""
        self.address, self.num_cpus = address, num_cpus
        self._shared = shared
        self._running: dict[Any, Tag] = {}

    def __enter__(self) -> Cluster[Tag]:
        self._ray = ray = require("ray", "a cluster", "'audiocodec[ray]'")
        self._started_here = not ray.is_initialized()
        if self._started_here:
            local: dict[str, Any] = {} if self.address else {"num_cpus": self.num_cpus}
            os.environ.setdefault(*RAY_PRIORITY)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ray.init(self.address, log_to_driver=False, logging_level="ERROR", **local)
            except Exception as error:  # Ray raises bare exceptions, too
                where = "on this machine" if self.address is None else f"at {self.address}"
                raise InputError(f"no Ray cluster {where}: {' '.join(str(error).split())}") from error
        self.capacity = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._references = [ray.put(value) for value in self._shared]
        self._call = ray.remote(num_cpus=1, max_retries=RAY_RETRIES)(call)
        return self

    def stop(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._started_here:
            self._ray.shutdown()

    def __len__(self) -> int:
        return len(self._running)

    def submit(self, tag: Tag, function: Callable[..., Any], *arguments: Any) -> None:
        """See `Workers`."""
        self._running[self._call.remote(function, *self._references, *arguments)] = tag

    def next(self) -> tuple[Tag, Any | WorkerLost]:
        """See `Workers`."""
        done, _ = self._ray.wait(list(self._running), num_returns=1)
        tag = self._running.pop(done[0])
        try:
            return tag, self._ray.get(done[0])
        except self._ray.exceptions.RayError as error:
            return tag, WorkerLost(" ".join(str(error).split())[:300])


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a worker of the cluster does."""
    return function(*arguments)


class Pool(Workers[Tag]):
    """Processes of this machine with one thread each, which do one task after the other.

    One that dies costs the task it had, and is replaced. When the block ends, however it ends, all are told
    to stop, and those that have not after GRACE_SECONDS are killed. They end with their parent as well, even
    when it is killed.
    """

    def __init__(self, jobs: int, *shared: Any) -> None:
        """`shared` is sent to each process once, and goes before the arguments of every task."""
        self.capacity = max(1, jobs)
        self._shared = shared
        self._workers: list[_Worker] = []
        self._queue: deque[tuple[Tag, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._running: dict[_Worker, Tag] = {}

    def __enter__(self) -> Pool[Tag]:
        try:
            for _ in range(self.capacity):
                self._workers.append(_Worker(self._shared))
            for worker in self._workers:
                worker.await_start()
        except BaseException:
            self.stop()
            raise
        return self

    def __len__(self) -> int:
        return len(self._queue) + len(self._running)

    def submit(self, tag: Tag, function: Callable[..., Any], *arguments: Any) -> None:
        """See `Workers`."""
        self._queue.append((tag, function, arguments))
        self._give_out()

    def next(self, timeout_seconds: float | None = None) -> tuple[Tag, Any | WorkerLost]:
        """See `Workers`.

        Raises:
            TimeoutError: none ended in time.
            InputError: a process that replaces one that died could not start.
        """
        self._give_out()
        running = {worker.connection: worker for worker in self._running}
        ready: Any = wait(list(running), timeout_seconds)
        if not ready:
            raise TimeoutError(f"no task ended in {timeout_seconds} s")
        worker = running[ready[0]]
        tag = self._running.pop(worker)
        return tag, worker.receive()

    def _give_out(self) -> None:
        for number, worker in enumerate(self._workers):
            if not self._queue:
                return
            if worker in self._running:
                continue
            tag, function, arguments = self._queue.popleft()
            while not worker.send((function, arguments)):
                worker.end()
                self._workers[number] = worker = _Worker(self._shared)
                worker.await_start()
            self._running[worker] = tag

    def stop(self) -> None:
        """End all processes within about GRACE_SECONDS."""
        try:
            for worker in self._workers:
                worker.tell_to_stop()
            deadline = time.monotonic() + GRACE_SECONDS
            for worker in self._workers:
                worker.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for worker in self._workers:
                worker.end()


class _Worker:
    """One process of a pool, seen from its parent."""

    def __init__(self, shared: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")  # forking a process that has threads may hang
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with one_thread_for_children(), _interrupts_wait():
            self.process.start()
        theirs.close()  # so that its end shows here
        # Not as an argument of the process: if that died early, starting it would wait for ever.
        with suppress(OSError):
            self.connection.send(shared)

    def await_start(self) -> None:
        try:
            problem = self.connection.recv()
        except (EOFError, OSError) as error:
            self.process.join()
            raise InputError(
                f"a worker process ended while it started ({_cause(self.process.exitcode)}); try fewer --jobs"
            ) from error
        if problem is not None:
            raise InputError(f"a worker process could not start: {problem}")

    def send(self, task: tuple[Callable[..., Any], tuple[Any, ...]]) -> bool:
        """Give it a task; False when it is dead."""
        try:
            self.connection.send(task)
        except OSError:
            return False
        return True

    def receive(self) -> Any | WorkerLost:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return WorkerLost(_cause(self.process.exitcode), self.process.exitcode)

    def tell_to_stop(self) -> None:
        self.connection.close()
        self.process.terminate()

    def end(self) -> None:
        """Kill it, if it still runs."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def _cause(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


@contextmanager
def _interrupts_wait() -> Generator[None]:
    """Delay signals: a process that is only half started prints a traceback.

    Processes started meanwhile block Ctrl-C until they have installed their own handlers.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # it lets signals through when it starts, which must not be in between
    received = list[int]()
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            # Blocking them is not enough: another thread may get them, and this one runs the handler.
            stack.enter_context(handling(lambda number, frame: received.append(number)))
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask)
        yield
    if received:
        signal.raise_signal(received[0])


def _serve(connection: Connection) -> None:
    """What a process of a pool does."""
    print_logs_plainly()
    try:
        _obey_the_parent()
        _work(connection)
        _ignore_stop_signals()
    except SystemExit as stopped:
        # Everything is tidied up; taking modules and models apart would last longer than what was stopped.
        os._exit(stopped.code if isinstance(stopped.code, int) else 1)


def _work(connection: Connection) -> None:
    """Do tasks until the other side closes."""
    try:
        shared: tuple[Any, ...] = connection.recv()
    except Exception as error:
        with suppress(OSError):  # the parent may be gone
            connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send(None)
    while True:
        try:
            function, arguments = connection.recv()
        except (EOFError, OSError):
            return
        result = function(*shared, *arguments)
        try:
            connection.send(result)
        except OSError:
            return


def _obey_the_parent() -> None:
    """Ignore Ctrl-C, which the parent handles for all; end when the parent says so, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in STOP_SIGNALS[1:]:
        signal.signal(number, _stop_once)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if sys.platform == "linux":
        # The thread waits for a pipe to close, which other children of the parent may hold open.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent.pid:  # it died before that
            exit_for(signal.SIGTERM)


def _stop_once(number: int, frame: FrameType | None) -> None:
    """Raise SystemExit, and let no second signal interrupt what is tidied up."""
    _ignore_stop_signals()
    exit_for(number)


def _ignore_stop_signals() -> None:
    for number in STOP_SIGNALS[1:]:
        signal.signal(number, signal.SIG_IGN)


def _end_with(parent: Any) -> None:
    """Wait for the end of the parent; then end in order, or after some time in any case."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(128 + signal.SIGTERM)
