"""Tasks in processes of this machine, one thread each, that end in order with signals or their parent."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from types import FrameType, TracebackType
from typing import Any, Generic, Protocol, TypeVar

from audiocodec.errors import InputError
from audiocodec.printing import print_logs_plainly

T = TypeVar("T")

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Ctrl-C, the request to end, and the end of the terminal."""
GRACE_SECONDS = 1.5
"""That a process which was told to stop has to remove what it was writing, before it is killed."""
WAITING_FOR_EACH = 4
"""Tasks handed over for each process: enough that none is idle, few enough to stop soon."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_PR_SET_PDEATHSIG = 1  # number of linux/prctl.h


def available_cpus() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_in_one_thread() -> None:
    """Let torch use one thread: matrices are small, and more threads wait for each other on a busy machine.

    Numbers near zero (denormals) become zero: near-silence would otherwise be computed many times slower.
    """
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


@contextmanager
def one_thread() -> Generator[None]:
    """Let processes started meanwhile have one thread in the libraries that read it from the environment."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Let `handler` have STOP_SIGNALS meanwhile; what this process was started to ignore stays ignored.

    `nohup` starts programs so. Only the main thread may do this.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    taken = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in taken.items():
            signal.signal(number, old)


@contextmanager
def stoppable() -> Generator[None]:
    """Let each of STOP_SIGNALS raise SystemExit meanwhile, so that all that is open is tidied up.

    The exit status is 128 + the number of the signal, as shells have it.
    """
    with handling(_stop):
        yield


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


class WorkerLost:
    """In place of a result: the process died. `exit_code` is known of processes of this machine."""

    def __init__(self, reason: str, exit_code: int | None = None) -> None:
        self.reason, self.exit_code = reason, exit_code


class Workers(Protocol[T]):
    """Who does tasks: a `Pool` here, or a `Cluster` of many machines."""

    @property
    def slots(self) -> int:
        """Tasks that can run at once."""
        ...

    def __len__(self) -> int:
        """Tasks that wait or run."""
        ...

    def submit(self, tag: T, function: Callable[..., Any], *arguments: Any) -> None:
        """Take a task; `function` must be importable by name."""
        ...

    def next(self) -> tuple[T, Any | WorkerLost]:
        """Wait for any task to end; gives its tag and its result."""
        ...


def spread(
    workers: Workers[int], function: Callable[..., T], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[tuple[int, T | WorkerLost]]:
    """Call `function` with each of `arguments`; gives (number, result) as they end."""
    submitted, most = 0, WAITING_FOR_EACH * workers.slots
    while submitted < len(arguments) or len(workers):
        while submitted < len(arguments) and len(workers) < most:
            workers.submit(submitted, function, *arguments[submitted])
            submitted += 1
        yield workers.next()


class Pool(Generic[T]):
    """Processes that do one task after the other, each as `function(*shared, *arguments)`; a context manager.

    One that dies costs the task it had, and is replaced. When the block ends, however it ends, all are told
    to stop, and what has not after GRACE_SECONDS is killed. They end with their parent as well, even when it
    is killed.
    """

    def __init__(self, jobs: int, *shared: Any) -> None:
        """`shared` is sent to each process once."""
        self.slots = max(1, jobs)
        self._shared = shared
        self._workers: list[_Worker] = []
        self._queue: deque[tuple[T, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._running: dict[_Worker, T] = {}

    def __enter__(self) -> Pool[T]:
        """Start the processes.

        Raises:
            InputError: one died as it started, or could not load what it needs.
        """
        try:
            for _ in range(self.slots):
                self._workers.append(_Worker(self._shared))
            for worker in self._workers:
                worker.await_start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __len__(self) -> int:
        """Tasks that wait or run."""
        return len(self._queue) + len(self._running)

    def submit(self, tag: T, function: Callable[..., Any], *arguments: Any) -> None:
        """Take a task; `function` must be importable by name."""
        self._queue.append((tag, function, arguments))
        self._give_out()

    def next(self, timeout_seconds: float | None = None) -> tuple[T, Any | WorkerLost]:
        """Wait for any task to end; gives its tag and its result.

        Raises:
            TimeoutError: none ended in time.
            InputError: a process that was to take the place of one that died could not start.
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

    def _stop(self) -> None:
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
    """One process, seen from its parent."""

    def __init__(self, shared: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")  # forking a process that has threads may hang
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with one_thread(), _interrupts_wait():
            self.process.start()
        theirs.close()  # so that its end shows here
        # Not as an argument of the process: if that died early, starting it would wait for ever.
        with suppress(OSError):
            self.connection.send(shared)

    def await_start(self) -> None:
        """Wait until it is ready; as `Pool.__enter__`."""
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
        """Its result."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return WorkerLost(_cause(self.process.exitcode), self.process.exitcode)

    def tell_to_stop(self) -> None:
        """Let it end in order, whatever it does."""
        self.connection.close()
        self.process.terminate()

    def end(self) -> None:
        """End it at once, if it still runs."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def _cause(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


@contextmanager
def _interrupts_wait() -> Generator[None]:
    """Hold signals back: a process that is started by half prints a traceback.

    Processes started meanwhile hold Ctrl-C back until they say what they do with it.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # it lets signals through when it starts, which must not be in between
    noted = list[int]()
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            # Blocking them is not enough: another thread may get them, and this one runs the handler.
            stack.enter_context(handling(lambda number, frame: noted.append(number)))
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask)
        yield
    if noted:
        signal.raise_signal(noted[0])


def _serve(connection: Connection) -> None:
    """What a process of a pool does."""
    print_logs_plainly()
    try:
        _obey_the_parent()
        _work(connection)
        _hear_no_more()
    except SystemExit as stopped:
        # All is tidied up; to take modules and models apart would last longer than what was stopped.
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
    """Leave Ctrl-C to the parent, which goes to all; end in order when it says so, or when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in STOP_SIGNALS[1:]:
        signal.signal(number, _stop_once)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if sys.platform == "linux":
        # The thread waits for a pipe to close, which what the parent has started besides may hold open.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent.pid:  # it died before that
            raise SystemExit(128 + signal.SIGTERM)


def _stop_once(number: int, frame: FrameType | None) -> None:
    """Raise SystemExit, and let no second signal disturb what is tidied up meanwhile."""
    _hear_no_more()
    _stop(number, frame)


def _hear_no_more() -> None:
    for number in STOP_SIGNALS[1:]:
        signal.signal(number, signal.SIG_IGN)


def _end_with(parent: Any) -> None:
    """Wait for the end of the parent; then end in order, or after some time in any case."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(128 + signal.SIGTERM)
