"""Finds sound files, and copies what comes through a pipe to a file."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from audiocodec.errors import InputError

AUDIO_SUFFIXES = frozenset(
    {
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aiff",
        ".aif",
        ".caf",
        ".w64",
        ".rf64",
        ".au",
    }
)

OTHER_SUFFIXES = frozenset(
    {".m4a", ".m4b", ".mp4", ".mka", ".mkv", ".mov", ".webm", ".aac", ".ac3", ".amr", ".ape", ".wma", ".wv"}
)
"""Suffixes of sound files that cannot be read: in a folder they are reported, other files are ignored."""

logger = logging.getLogger(__name__)


def find_audio(
    paths: Iterable[str | os.PathLike[str]],
    recursive: bool = True,
    suffixes: Collection[str] = AUDIO_SUFFIXES,
) -> list[Path]:
    """List the given files, and the files in given folders whose suffix is in `suffixes`; each once.

    Files in folders are in order of name. Files given by name are not checked. Hidden files are left out;
    sound of other formats and broken links are counted in a warning.

    Raises:
        InputError: a folder holds no such file.
    """
    files: dict[Path, None] = {}
    for path in map(Path, paths):
        if not os.path.isdir(path):
            files[path] = None
            continue
        inside, skipped = list_audio(path, recursive, suffixes)
        if skipped:
            logger.warning("%s: skipped %s", path, _counted(skipped))
        if not inside:
            raise no_audio(path, suffixes)
        files.update(dict.fromkeys(inside))
    return list(files)


def list_audio(
    folder: Path, recursive: bool = True, suffixes: Collection[str] = AUDIO_SUFFIXES
) -> tuple[list[Path], list[Path]]:
    """Files of a folder whose suffix is in `suffixes`, and sound files that cannot be read.

    Both are in order of name. Broken links are among the latter. Hidden files are left out.
    """
    inside, skipped = list[Path](), list[Path]()
    others = OTHER_SUFFIXES if ".wav" in suffixes else frozenset[str]()
    for file in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        suffix = file.suffix.lower()
        if any(part.startswith(".") for part in file.relative_to(folder).parts):
            continue
        if suffix in suffixes and file.is_file():
            inside.append(file)
        elif (suffix in others and file.is_file()) or (suffix in {*suffixes, *others} and is_dead_link(file)):
            skipped.append(file)
    return inside, skipped


def no_audio(folder: Path, suffixes: Collection[str]) -> InputError:
    """The error for a folder without sound files."""
    return InputError(f"{folder}: the folder has no file ending in {', '.join(sorted(suffixes))}")


def stamp(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Size in bytes and time of change in ns, for caches to notice changed files; zeros if it is missing."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: names that no file can have
        return 0, 0
    return status.st_size, status.st_mtime_ns


def unreadable(file: Path) -> InputError:
    """The error for a file that `list_audio` skipped."""
    if is_dead_link(file):
        return InputError(f"{file}: is a link to nothing; remove it, or restore its target")
    return InputError(f"{file}: sound of the kind {file.suffix} cannot be read; convert it to WAV or FLAC")


def name_for_libsndfile(path: Path) -> Any:
    """The name as bytes: soundfile cannot encode names that are not valid text."""
    return os.fspath(path) if sys.platform == "win32" else os.fsencode(path)


def is_dead_link(path: Path) -> bool:
    """Whether a path is a broken link."""
    return path.is_symlink() and not os.path.exists(path)


def _counted(skipped: Iterable[Path]) -> str:
    kinds = Counter("dead link" if is_dead_link(path) else path.suffix[1:].lower() for path in skipped)
    return f"{kinds.total()} ({', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))})"


@contextmanager
def as_file(path: str | os.PathLike[str], stdin: BinaryIO | None = None) -> Generator[Path]:
    """Yield a file that can be read more than once: `path` itself, or a copy of what a pipe or '-' delivers.

    The copy is streamed to a temporary file, so memory stays bounded, and is deleted at the end.

    Raises:
        InputError: nothing came through the pipe.
    """
    path = Path(path)
    piped = os.fspath(path) == "-"
    if not piped and (not os.path.exists(path) or path.is_file() or path.is_dir()):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="audiocodec-") as folder:
        copy = Path(folder) / ("stdin" if piped else path.name)
        with copy.open("wb") as target:
            if piped:
                shutil.copyfileobj(stdin or sys.stdin.buffer, target)
            else:
                with path.open("rb") as source:
                    shutil.copyfileobj(source, target)
        if not copy.stat().st_size:
            raise InputError(f"{path}: nothing came through the pipe; pipe a sound file in")
        yield copy
