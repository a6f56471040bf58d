"""What this process needs from its machine: CPUs, threads, memory, and signals that stop it cleanly."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Ctrl-C, the request to end, and the end of the terminal."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
LARGEST_HEAP_BLOCK = 32 << 20
"""The most that glibc allows: it keeps and reuses blocks up to this size, and returns larger ones."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # numbers of /usr/include/malloc.h


def available_cpus() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compute_in_one_thread() -> None:
    """Let torch use one thread: matrices are small, and more threads wait for each other on a busy machine.

    Numbers near zero (denormals) become zero, as near-silence would otherwise be computed many times slower.
    """
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


@contextmanager
def one_thread_for_children() -> Generator[None]:
    """Give processes started meanwhile one thread in the libraries that read it from the environment."""
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


def prepare_for_training() -> None:
    """Prevent two things that slow long training on CPUs; call it before anything else imports torch.

    Tensors of some megabytes would be returned to the system and faulted in again at every step. Numbers near
    zero (denormals), which appear after a few hundred steps, would be computed in microcode.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch: huge pages for large tensors
    if sys.platform == "linux":
        mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, LARGEST_HEAP_BLOCK)
            mallopt(_M_TRIM_THRESHOLD, -1)
    import torch

    # Threads that compute inherit this, so it must come before the first of them is started.
    torch.set_flush_denormal(True)


@contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Generator[None]:
    """Let `handler` receive STOP_SIGNALS meanwhile, except those this process was started to ignore.

    That is how `nohup` starts programs. Only the main thread may do this.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    replaced = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in replaced:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in replaced.items():
            signal.signal(number, old)


@contextmanager
def stoppable() -> Generator[None]:
    """Let each of STOP_SIGNALS raise SystemExit meanwhile, so that all that is open is closed."""
    with handling(exit_for):
        yield


def exit_for(number: int, frame: FrameType | None = None) -> None:
    """Raise SystemExit with the status that shells use for a signal: 128 + its number."""
    raise SystemExit(128 + number)


class StopSignal:
    """Notes the first of STOP_SIGNALS, so that the current step can finish; a second one ends at once.

    A context manager. Call it to ask whether a signal came.
    """

    def __init__(self) -> None:
        self.number = 0
        self._handling = ExitStack()

    def __enter__(self) -> StopSignal:
        self._handling.enter_context(handling(self._note))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handling.close()

    def __call__(self) -> bool:
        """Whether a signal came."""
        return bool(self.number)

    def exit_if_stopped(self) -> None:
        """End the process with the exit status of the signal, if one came."""
        if self.number:
            exit_for(self.number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._handling.close()
        # Not print: the signal may have interrupted one.
        with suppress(OSError):  # the terminal may be gone
            os.write(2, b"\nending after this step, with checkpoint and model; once more ends at once\n")
