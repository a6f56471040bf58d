"""Rows on disk as they come, so that a run that was killed goes on from those already done."""

from __future__ import annotations

import json
import logging
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from audiocodec.errors import InputError
from audiocodec.evaluation.rows import COLUMNS, Row
from audiocodec.outside import MALFORMED, lines, parse_json
from audiocodec.storage import try_lock

NAME = "rows.jsonl"
MAX_LINE_BYTES = 1 << 20
MAX_VALUE = 1 << 62
"""Of a whole number."""
logger = logging.getLogger(__name__)


def row_key(facts: Any) -> str:
    """Identity of a row: a digest of everything that decides what is in it (plain values)."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, default=str)
    return sha256(text.encode()).hexdigest()[:24]


class Journal:
    """A file of lines {"key", "row"}; a context manager, which nobody else can open meanwhile.

    Rows are found by their key, which changes with the configuration, so a row of another one is never
    taken for one of this. A last line that was cut off is left out.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def __enter__(self) -> Journal:
        """Open for appending.

        Raises:
            InputError: another run writes here, or the folder cannot be written.
        """
        try:
            self._file = self.path.open("a+b")
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); choose another -o"
            ) from error
        if not try_lock(self._file.fileno()):
            self._file.close()
            raise InputError(f"{self.path.parent}: another evaluation is writing here; choose another -o")
        self.rows = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, key: str, row: Row) -> None:
        """Add a row; it survives the end of this process, however that comes."""
        self.rows[key] = row
        self._file.write(json.dumps({"key": key, "row": row}).encode() + b"\n")
        self._file.flush()

    def _read(self) -> dict[str, Row]:
        self._file.seek(0)
        rows: dict[str, Row] = {}
        line: bytes | None = b""
        for number, line in enumerate(lines(self._file, MAX_LINE_BYTES), 1):
            entry = _parse(line)
            if isinstance(entry, str):
                logger.warning("%s, line %d: %s; that row is computed again", self.path, number, entry)
            else:
                rows[entry[0]] = entry[1]
        if line and not line.endswith(b"\n"):
            self._file.write(b"\n")
        return rows


def _parse(line: bytes | None) -> tuple[str, Row] | str:
    """Key and row of a line, or why it is no row."""
    try:
        if line is None:
            return f"more than {MAX_LINE_BYTES} bytes"
        entry = cast("dict[str, Any]", parse_json(line, finite=False))
        key, row = entry["key"], entry["row"]
        wrong = [name for name, value in row.items() if not _fits(name, value)]
    except MALFORMED as error:
        return f"no row of an evaluation ({error})"
    if not isinstance(key, str) or wrong:
        return f"no row of an evaluation ({', '.join(wrong) or 'key'} of the wrong kind)"
    return key, row


def _fits(name: str, value: Any) -> bool:
    """Whether a value can stand in a column; those that are not known are scores."""
    if name == "errors":
        return isinstance(value, dict)
    if name.endswith("_by_stage"):
        return value is None or isinstance(value, list)
    kind = next((column.dtype for column in COLUMNS if column.name == name), "float64")
    if value is None or kind == "string":
        return value is None or isinstance(value, str)
    if kind == "boolean" or isinstance(value, bool):
        return isinstance(value, bool)
    whole = isinstance(value, int) and abs(value) < MAX_VALUE
    return whole or (kind == "float64" and isinstance(value, float))
