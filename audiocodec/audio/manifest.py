"""Lists of recordings as people keep them: CSV with a header line, or JSONL, one recording a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from audiocodec.errors import InputError

MAX_BYTES = 1 << 30
"""About five million lines."""


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Read a manifest as (number of the line, its columns); each line has a `path`, other columns are free.

    Raises:
        InputError: the file cannot be read, or a line, which is named, has no path of a sound file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes; this is not a manifest")
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(_csv_lines(file) if path.suffix.lower() == ".csv" else _json_lines(file))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path}: cannot be read ({reason}); give a CSV or JSONL manifest, or a folder"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; save the manifest as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error}); write one recording a line") from error
    for number, columns in lines:
        name = columns.get("path")
        if not isinstance(name, str) or not name.strip() or "\0" in name:
            raise InputError(f"{path}, line {number}: no `path` of a sound file; every line needs one")
    return lines


def _csv_lines(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(file)
    for row in reader:
        yield reader.line_num, row


def _json_lines(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        yield number, cast("dict[str, Any]", row) if isinstance(row, dict) else {}
