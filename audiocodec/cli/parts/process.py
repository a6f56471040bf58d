"""What a process that trains for hours needs from its machine; nothing here changes a result."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import ExitStack, suppress
from types import FrameType, TracebackType
from typing import Any

import typer

from audiocodec.work import handling

LARGEST_HEAP_BLOCK = 32 << 20
"""What glibc allows: blocks up to this size are kept and used again, larger ones go back to the system."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # numbers of /usr/include/malloc.h


def prepare_to_compute() -> None:
    """Stop two things that slow long training on CPUs; call it before anything else imports torch.

    Tensors of some megabytes would be given back to the system and faulted in anew at every step, and numbers
    near zero (denormals), which appear after a few hundred steps, would be computed in microcode.
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


class StopSignal:
    """Notes the first of STOP_SIGNALS, so that work can end in order; a second one ends it at once."""

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
        """End with the exit status by which shells tell a signal."""
        if self.number:
            raise typer.Exit(128 + self.number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._handling.close()
        # Not print: the signal may have come in the middle of one.
        with suppress(OSError):  # the terminal may be gone
            os.write(2, b"\nending after this step, with checkpoint and model; once more ends at once\n")
