"""Lists of recordings as people keep them: CSV with a header line, or JSONL, one recording a line."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED, lines, parse_json

MAX_BYTES = 1 << 30
"""About five million lines."""
MAX_LINE_BYTES = 1 << 20
_OLD_ENDS = re.compile(r"(?<=\r)(?!\n)")
"""Some spreadsheets end lines by CR alone."""


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Read a manifest as (number of the line, its columns); each line has a `path`, other columns are free.

    Raises:
        InputError: the file cannot be read, or a line, which is named, has no path of a sound file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes; this is not a manifest")
        with path.open("rb") as file:
            text = _text_lines(file, path)
            found = list(_csv_lines(text) if path.suffix.lower() == ".csv" else _json_lines(text))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path}: cannot be read ({reason}); give a CSV or JSONL manifest, or a folder"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; save the manifest as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error}); write one recording a line") from error
    for number, columns in found:
        name = columns.get("path")
        if not isinstance(name, str) or not name.strip() or not can_be_named(name):
            raise InputError(f"{path}, line {number}: no `path` of a sound file; every line needs one")
    return found


def can_be_named(name: str) -> bool:
    """Whether the system could have a file of that name."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _text_lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """Lines as text.

    Raises:
        InputError: one is too long.
        UnicodeDecodeError: one is no UTF-8.
    """
    for number, line in enumerate(lines(file, MAX_LINE_BYTES), 1):
        if line is None:
            raise InputError(
                f"{path}, line {number}: more than {MAX_LINE_BYTES} bytes; this is not a manifest"
            )
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        yield from filter(None, _OLD_ENDS.split(text)) if "\r" in text else (text,)


def _csv_lines(text: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(text)
    for row in reader:
        yield reader.line_num, row


def _json_lines(text: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, finite=False)
        except MALFORMED:
            row = None
        yield number, cast("dict[str, Any]", row) if isinstance(row, dict) else {}
