"""Rows on disk as they come, so that a run that was killed goes on from those already done."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from audiocodec.errors import InputError
from audiocodec.evaluation.rows import Row
from audiocodec.storage import try_lock

NAME = "rows.jsonl"


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
        data = self._file.read()
        if data and not data.endswith(b"\n"):
            self._file.write(b"\n")
        rows: dict[str, Row] = {}
        for line in data.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                found = cast("dict[str, Any]", entry)
                if isinstance(found.get("key"), str) and isinstance(found.get("row"), dict):
                    rows[found["key"]] = found["row"]
        return rows
