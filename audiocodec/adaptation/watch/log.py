"""The monitor's log: JSON lines, only ever added to, readable while it grows and after a power cut."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from audiocodec.adaptation.watch.report import WindowReport
from audiocodec.errors import InputError

LOG_NAME = "monitor.jsonl"
"""Inside a store of codebooks."""
MAX_LINE_BYTES = 1 << 20
Clock = Callable[[], float]


class WatchLog:
    """Adds events to a file; several processes may add to one file."""

    def __init__(self, path: str | os.PathLike[str], *, clock: Clock = time.time) -> None:
        """Make the file if it is not there; `clock` gives seconds since 1970.

        Raises:
            InputError: it cannot be written.
        """
        self.path, self._clock = Path(path), clock
        self._write(b"")

    def start(self, facts: Mapping[str, Any]) -> None:
        """Note that a run begins, and with what."""
        self._event("start", facts)

    def window(self, report: WindowReport) -> None:
        """Note a window."""
        self._event("window", report.as_json())

    def end(self, facts: Mapping[str, Any]) -> None:
        """Note that a run has ended."""
        self._event("end", facts)

    def _event(self, kind: str, facts: Mapping[str, Any]) -> None:
        moment = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": moment, "event": kind, **finite(facts)}, sort_keys=True, allow_nan=False)
        self._write(line.encode() + b"\n")

    def _write(self, data: bytes) -> None:
        try:
            with self.path.open("a+b") as file:
                if data and file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # the last writer was cut off
                        data = b"\n" + data
                file.write(data)  # one write of one line, so that writers do not mix
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); choose another --log"
            ) from error


def read_log(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Events of a log in order; lines that are none are left out, as the last may be half written.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    try:
        with Path(path).open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                event = _parse(line)
                if event is not None:
                    yield event
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the name") from error


def read_new(path: str | os.PathLike[str], position: int) -> tuple[list[dict[str, Any]], int]:
    """Whole events after byte `position`, and where to read on; from the start if the file became shorter.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    events: list[dict[str, Any]] = []
    try:
        with Path(path).open("rb") as file:
            if position > file.seek(0, os.SEEK_END):
                position = 0
            file.seek(position)
            while (line := file.readline(MAX_LINE_BYTES)).endswith(b"\n"):
                position += len(line)
                event = _parse(line)
                if event is not None:
                    events.append(event)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the name") from error
    return events, position


def finite(value: Any) -> Any:
    """The same with None in place of numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in cast("list[Any]", value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    found = cast("dict[str, Any]", event)
    return found if isinstance(found.get("event"), str) and isinstance(found.get("time"), str) else None
