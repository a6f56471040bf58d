"""What a process does that works for others: one thread, no outliving, and an end to what hangs."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

from audiocodec.evaluation.coders import ModelCoder
from audiocodec.evaluation.rows import Row
from audiocodec.evaluation.tasks import Setup, Unit, score_unit

TIMED_OUT = 1
"""Exit code of a worker that ran over its limit: that of `faulthandler`, which ends it."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def prepare(setup: Setup) -> None:
    """Let models compute in one thread: their matrices are small, and every core has a worker of its own."""
    if any(isinstance(coder, ModelCoder) for coder in setup.coders):
        import torch

        torch.set_num_threads(1)
        torch.set_flush_denormal(True)  # near-silence would otherwise be computed many times slower


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


def score_watched(setup: Setup, unit: Unit) -> list[Row]:
    """`score_unit` in a process that ends, with exit code TIMED_OUT, when a step takes too long.

    Also code that never gives Python a chance is ended so.
    """
    prepare(setup)
    with open(os.devnull, "w") as nowhere:

        def watch(seconds: float) -> None:
            faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)

        try:
            return score_unit(setup, unit, watch)
        finally:
            faulthandler.cancel_dump_traceback_later()


def serve(connection: Connection) -> None:
    """Receive a setup, then units, and send the rows of each, until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        setup: Setup = connection.recv()
        prepare(setup)
    except Exception as error:
        connection.send(f"{type(error).__name__}: {error}")
        return
    connection.send(None)
    while True:
        try:
            unit: Unit = connection.recv()
        except (EOFError, OSError):
            return
        rows: Sequence[Row] | None = score_watched(setup, unit)
        try:
            connection.send(rows)
        except (BrokenPipeError, OSError):
            return


def _end_with_parent() -> None:
    """A worker in the middle of something would outlive a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
