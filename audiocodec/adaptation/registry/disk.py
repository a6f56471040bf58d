"""Files that survive a kill at any moment: whole or not there, and one writer at a time."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from audiocodec.errors import RegistryError

OnStep = Callable[[str], None]
"""Told the name of each step that has just been done; tests stop the process there."""

PART_SUFFIX = ".part"
WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.02


def write_new(path: Path, data: bytes, on_step: OnStep) -> None:
    """Write a file durably: under a hidden name first, which becomes `path` when every byte is on the disk.

    Raises:
        RegistryError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}{PART_SUFFIX}")
    try:
        make_folder(path.parent)
        with temporary.open("xb") as file:
            file.write(data)
            on_step("file written")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
        on_step("file named")
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that their names are on the disk."""
    missing = [part for part in (folder, *folder.parents) if not part.is_dir()]
    folder.mkdir(parents=True, exist_ok=True)
    for part in reversed(missing):
        sync_folder(part.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
            if _try_lock(descriptor):
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


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
