"""Files that survive a kill or a power cut at any moment: whole and on the disk, or not there."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar, cast

from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED, lines, parse_json

PART_SUFFIX = ".part"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)
_NAME_BYTES = 100
_POLL_SECONDS = 0.02
MAX_LINE_BYTES = 1 << 20
"""Longest line of a journal that is read."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


@contextmanager
def new_file(path: str | os.PathLike[str], overwrite: bool = False) -> Generator[Path]:
    """Yield a temporary path beside `path`; it takes the place of `path` when the block ends well, else goes.

    Raises:
        InputError: `path` exists and `overwrite` is False, or cannot be written.
    """
    target = Path(path)
    _check_target(target, overwrite)
    begun = False
    try:
        with replacing(real(target)) as temporary:  # a link stays a link, its target is replaced
            begun = True
            yield temporary
            _check_target(target, overwrite)
    except OSError as error:
        if begun and error.errno not in (*_FULL, errno.EROFS):
            raise
        remedy = "free some space" if error.errno in _FULL else "choose another place"
        raise InputError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`, which becomes `path` when its content is on the disk.

    A reader sees the old file or the new one. When the block fails the temporary file goes.
    """
    temporary = hidden_beside(path)
    try:
        temporary.touch(exist_ok=False)  # in here: a signal may come as soon as it is there
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def hidden_beside(path: Path) -> Path:
    """A name for what becomes `path`; no longer than file systems allow, which count bytes."""
    name = os.fsencode(path.name)[:_NAME_BYTES].decode("utf-8", "ignore")
    return path.with_name(f".{name}.{secrets.token_hex(6)}{PART_SUFFIX}")


def real(path: Path) -> Path:
    """The whole path, links followed as far as they lead; pathlib raises where they go round in a circle."""
    return Path(os.path.realpath(path))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that their names are on the disk."""
    missing = [part for part in (folder, *folder.parents) if not part.is_dir()]
    folder.mkdir(parents=True, exist_ok=True)
    for part in reversed(missing):
        sync(part.parent)


def make_output_folder(folder: Path) -> None:
    """Make a folder that a user has named for output, as `make_folder`.

    Raises:
        InputError: it cannot be made.
    """
    try:
        make_folder(folder)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); choose another folder with -o"
        ) from error


def sync(path: Path) -> None:
    """Put the content of a file, or the names in a folder, on the disk, where the system can."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:  # of some network file systems
            raise
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process, unless another one has it; the system lets go when it ends."""
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


@contextmanager
def locked(path: Path, wait_seconds: float) -> Generator[None]:
    """Hold the lock file `path`; the system releases it when the process ends, however it ends.

    Raises:
        TimeoutError: another process held it for `wait_seconds`.
        OSError: it cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        for _ in range(max(1, round(wait_seconds / _POLL_SECONDS))):
            if try_lock(descriptor):
                break
            time.sleep(_POLL_SECONDS)
        else:
            raise TimeoutError(f"{path}: locked by another process for {wait_seconds:.0f} s")
        yield
    finally:
        os.close(descriptor)


class Journal(Generic[T]):
    """JSON values, one a line, in a file that only grows: what a run had done before it was killed.

    A line that is damaged or too long, or that `parse` refuses by raising ValueError or the like, is named in
    a warning and left out.

    Attributes:
        entries: what `parse` made of the lines that were there.
    """

    def __init__(self, path: Path, parse: Callable[[Any], T], finite: bool = True) -> None:
        """Read the file; one that does not exist has no entries. `finite` False accepts NaN and infinity.

        Raises:
            InputError: it cannot be read.
        """
        self.path, self.entries = path, list[T]()
        self._cut_off = False
        try:
            with path.open("rb") as file:
                self._read(file, parse, finite)
        except FileNotFoundError:
            return
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); choose another place") from error

    def append(self, value: Any) -> None:
        """Add a line; it stays when this process ends, in whatever way.

        Raises:
            InputError: it cannot be written.
        """
        line = ("\n" if self._cut_off else "") + json.dumps(value) + "\n"
        try:
            with self.path.open("ab") as file:
                file.write(line.encode())
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); choose another place"
            ) from error
        self._cut_off = False

    def _read(self, file: BinaryIO, parse: Callable[[Any], T], finite: bool) -> None:
        line: bytes | None = b"\n"
        for number, line in enumerate(lines(file, MAX_LINE_BYTES), 1):
            if line is not None and not line.strip():
                continue
            try:
                if line is None:
                    raise ValueError(f"more than {MAX_LINE_BYTES} bytes")
                self.entries.append(parse(parse_json(line, finite)))
            except MALFORMED as error:
                logger.warning("%s, line %d: left out (%s)", self.path, number, error)
        self._cut_off = line is None or not line.endswith(b"\n")


def plain(value: Any) -> Any:
    """The same value as strict JSON can hold it: NaN and infinity become None, numpy numbers plain ones."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return plain(value.item()) if hasattr(value, "dtype") else value


def already_there(path: Path) -> InputError:
    """Why a file is not written where there is one."""
    return InputError(f"{path}: exists already; replace it with --force, or choose another name")


def _check_target(path: Path, overwrite: bool) -> None:
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder; name a file in it")
    if not os.path.isdir(path.parent):
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it first")
    try:
        path.stat()
    except FileNotFoundError:
        return
    except OSError as error:  # a name too long, a folder that may not be entered
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another place") from error
    if not path.is_file():
        raise InputError(f"{path}: is no regular file and would be replaced by one; choose another name")
    if not overwrite:
        raise already_there(path)
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: is read-only; change its permissions or choose another name")
