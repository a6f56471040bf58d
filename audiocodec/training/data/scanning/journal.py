"""What a scan has seen so far, so that one that was interrupted goes on where it was."""

from __future__ import annotations

import json
import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from audiocodec.audio import stamp
from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED, lines, parse_json
from audiocodec.training.data.scanning.measuring import Measured

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO, TextIO

NAMES = {field.name for field in fields(Measured)} | {"bytes"}
"""What a result holds; others were written by another version and do not count."""
MAX_LINE_BYTES = 1 << 20
logger = logging.getLogger(__name__)


class Journal:
    """Results by file, one JSON object a line, beside the manifest that is being made; a context manager.

    A result counts as long as size and time of its file are what they were. `done` removes the journal.
    """

    def __init__(self, manifest: Path) -> None:
        """Read what an interrupted scan for this manifest left; other lines are named, and left out."""
        self.path = manifest.with_name(f".{manifest.name}.journal")
        self._seen: dict[str, dict[str, Any]] = {}
        self._stamps: dict[Path, list[int]] = {}
        self._file: TextIO | None = None
        if self.path.is_file():
            with self.path.open("rb") as file:
                self._read(file)

    def __enter__(self) -> Journal:
        try:
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from error
        self._file.write("\n")  # ends a line that was cut off
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def find(self, path: Path) -> dict[str, Any] | None:
        """The result noted for a file, unless it was written anew since."""
        entry, found = self._seen.get(str(path)), [*stamp(path)]
        self._stamps[path] = found
        return entry["result"] if entry is not None and any(found) and entry.get("stamp") == found else None

    def note(self, path: Path, result: dict[str, Any]) -> None:
        """Remember the result of a file, as it was when `find` looked for it: before it was read."""
        assert self._file is not None, "notes are taken inside the with block"
        found = self._stamps.get(path) or [*stamp(path)]
        line = json.dumps({"file": str(path), "stamp": found, "result": result})
        self._file.write(line + "\n")
        self._file.flush()

    def done(self) -> None:
        """The manifest is written: forget it all."""
        self.__exit__(None, None, None)
        self.path.unlink(missing_ok=True)

    def _read(self, file: BinaryIO) -> None:
        for number, line in enumerate(lines(file, MAX_LINE_BYTES), 1):
            if line is not None and not line.strip():
                continue
            try:
                entry = cast("dict[str, Any]", parse_json(line or b""))
                name, result = entry["file"], entry["result"]
                if not isinstance(name, str) or set(result) != NAMES:
                    raise ValueError("written by another version")
                if not all(type(value) in (int, float) for value in result.values()):
                    raise ValueError("a result is no number")
            except MALFORMED as error:
                logger.warning("%s, line %d: no result of a scan (%s); left out", self.path, number, error)
                continue
            self._seen[name] = entry
