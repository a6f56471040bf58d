"""Files from outside: read in bounded memory, and refused in our own words where they are something else."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import Any, BinaryIO, NoReturn

from audiocodec.errors import AudioCodecError, InputError

MAX_DIGITS = 18
"""Of a whole number in JSON: what all code can compute with."""
LARGEST = 1e30
"""Of other numbers: their sums and squares are finite."""


def read_bytes(path: str | os.PathLike[str], limit: int, kind: type[AudioCodecError] = InputError) -> bytes:
    """All of a regular file of at most `limit` bytes.

    Raises:
        AudioCodecError: of that `kind`: it is not there, cannot be read, is no regular file, or is larger.
    """
    name = os.fspath(path)
    try:
        found = os.stat(path)
        regular, size = stat.S_ISREG(found.st_mode), found.st_size
        data = b""
        if regular and size <= limit:  # a pipe would be waited for, a device may have no end
            with open(path, "rb") as file:
                data = file.read(size + 1)
    except (OSError, ValueError) as error:  # ValueError: no name of a file
        raise kind(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not regular:
        raise kind(f"{name}: no regular file; name one")
    if max(size, len(data)) > limit:
        raise kind(f"{name}: {size} bytes, at most {limit} are read; is it the right file?")
    if len(data) != size:
        raise kind(f"{name}: its size changed while it was read; try again")
    return data


def parse_json(text: str | bytes) -> Any:
    """JSON from outside: numbers are finite and of a size that can be computed with.

    Raises:
        ValueError: it is none, a number is too large or none, or it is too deep.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_int=_integer, parse_float=_float)
    except RecursionError as error:
        raise ValueError("too deep for JSON") from error


def lines(file: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """Lines of a file with their ends; None for one of more than `limit` bytes, which is never held whole."""
    while line := file.readline(limit + 1):
        if len(line) <= limit or (len(line) == limit + 1 and line.endswith(b"\n")):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(limit + 1)
        yield None


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        _no_number(text)
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not abs(number) <= LARGEST:
        _no_number(text)
    return number


def _no_number(text: str) -> NoReturn:
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    raise ValueError(f"{shown} is no number that can be computed with")
