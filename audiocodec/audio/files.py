"""Finding sound files, and making a file of what comes through a pipe."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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


def find_audio(
    paths: Iterable[str | os.PathLike[str]],
    recursive: bool = True,
    suffixes: Collection[str] = AUDIO_SUFFIXES,
) -> list[Path]:
    """List files as given and, in order of name, those in folders whose ending is in `suffixes`; each once.

    Files given by name are not looked at: whoever opens them says what is wrong. Hidden files are left out.

    Raises:
        InputError: a folder holds no such file.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if not os.path.isdir(path):
            found[path] = None
            continue
        inside = sorted(
            file
            for file in (path.rglob("*") if recursive else path.iterdir())
            if file.suffix.lower() in suffixes
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
        if not inside:
            raise InputError(f"{path}: the folder has no file ending in {', '.join(sorted(suffixes))}")
        found.update(dict.fromkeys(inside))
    return list(found)


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
