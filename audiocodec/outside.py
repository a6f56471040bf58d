"""Reads files from outside in bounded memory, and refuses other content with our own exceptions."""

from __future__ import annotations

import json
import lzma
import math
import os
import stat
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any, BinaryIO, NoReturn

from safetensors import SafetensorError

from audiocodec.errors import AudioCodecError, InputError

MALFORMED: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,  # RecursionError and NotImplementedError among them
    SafetensorError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    tokenize.TokenError,  # numpy takes headers of arrays for Python
    zipfile.BadZipFile,
    zlib.error,
)
"""Exceptions of Python and of packages that read files, for content they do not expect."""
MAX_DIGITS = 300
"""Longest whole number in JSON, so that it fits a float."""


def read_bytes(path: str | os.PathLike[str], limit: int, kind: type[AudioCodecError] = InputError) -> bytes:
    """All of a regular file of at most `limit` bytes, as it is when it is opened.

    Raises:
        AudioCodecError: of that `kind`: it is not there, cannot be read, is no regular file, or is larger.
    """
    name = os.fspath(path)
    try:
        status = os.stat(path)
        regular, size, data = stat.S_ISREG(status.st_mode), status.st_size, b""
        if regular:  # a pipe would be waited for, a device may have no end
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size  # another file may have taken its place
                data = file.read(size) if size <= limit else b""  # what a log gains meanwhile is not missed
    except (OSError, ValueError) as error:  # ValueError: no name of a file
        raise kind(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if stat.S_ISDIR(status.st_mode):
        raise kind(f"{name}: a folder, not a file")
    if not regular:
        raise kind(f"{name}: no regular file; copy what it gives into one")
    if size > limit:
        raise kind(f"{name}: {size} bytes, at most {limit} are read; is it the right file?")
    return data


def parse_json(text: str | bytes, finite: bool = True) -> Any:
    """JSON from outside, which knows no NaN and no infinity; `finite` False lets them pass.

    Raises:
        ValueError: it is none, too deep, or has a number that is too large.
    """
    rules: dict[str, Any] = {"parse_constant": _no_number, "parse_float": _float} if finite else {}
    try:
        return json.loads(text, parse_int=_integer, **rules)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_time(text: str) -> datetime:
    """A moment as our logs write it: ISO 8601 with its offset from UTC.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} does not say in which time zone it is")
    return moment


def lines(file: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """Lines of a file with their ends; None for one of more than `limit` bytes, which is never held whole."""
    while line := file.readline(limit + 1):
        if len(line) <= limit or line.endswith(b"\n"):
            yield line
            continue
        yield None
        while line and not line.endswith(b"\n"):  # of a device it may never end, so it is reported first
            line = file.readline(limit + 1)


def _integer(text: str) -> int:
    return int(text) if len(text) <= MAX_DIGITS else _no_number(text)


def _float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no number that can be computed with")
