"""Files that survive a kill at any moment: whole or not there, and one writer at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from audiocodec.errors import RegistryError
from audiocodec.storage import make_folder, replacing, try_lock

OnStep = Callable[[str], None]
"""Told the name of each step that has just been done; tests stop the process there."""

WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.02


def write_new(path: Path, data: bytes, on_step: OnStep) -> None:
    """Write a file durably: under a hidden name first, which becomes `path` when every byte is on the disk.

    Raises:
        RegistryError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    try:
        make_folder(path.parent)
        with replacing(path) as temporary:
            temporary.write_bytes(data)
            on_step("file written")
        on_step("file named")
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def locked(path: Path, wait_seconds: float = WAIT_SECONDS) -> Generator[None]:
    """Hold the lock file `path`; the system releases it when the process ends, however it ends.

    Raises:
        RegistryError: another process held it for `wait_seconds`, or it cannot be made.
    """
    try:
        make_folder(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        for _ in range(max(1, round(wait_seconds / _POLL_SECONDS))):
            if try_lock(descriptor):
                break
            time.sleep(_POLL_SECONDS)
        else:
            raise RegistryError(
                f"{path.parent}: another process has been writing for {wait_seconds:.0f} s; wait for it"
            )
        yield
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> RegistryError:
    """Say what could not be written and why."""
    return RegistryError(
        f"{path}: cannot be written ({error.strerror or error}); free some space or choose another store"
    )
