"""Opening a `.nac` file by name, with errors that say which file they are about."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from audiocodec.bitstream.container import ContainerReader
from audiocodec.errors import AudioCodecError, InputError


@contextmanager
def open_container(path: str | os.PathLike[str]) -> Generator[ContainerReader]:
    """Open a `.nac` file; every error of ours that is raised while it is open names it.

    Raises:
        InputError: it is missing or may not be read.
        BitstreamError: it is no `.nac` file, or its header is damaged.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a .nac file in it")
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the name") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); change its permissions") from error
    with file:
        try:
            yield ContainerReader(file)
        except AudioCodecError as error:
            if not str(error).startswith(f"{path}: "):
                error.args = (f"{path}: {error}",)
            raise
