"""The monitor's log: JSON lines, only ever added to, readable while it grows and after a power cut."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED, lines, parse_json, parse_time
from audiocodec.storage import plain

LOG_NAME = "monitor.jsonl"
"""Inside a store of codebooks."""
MAX_LINE_BYTES = 1 << 20
NAMED = 5
"""Damaged lines that are warned of one by one."""
logger = logging.getLogger(__name__)
Clock = Callable[[], float]


class MonitorLog:
    """Adds events to a file; several processes may add to one file."""

    def __init__(self, path: str | os.PathLike[str], *, clock: Clock = time.time) -> None:
        """Make the file if it is not there; `clock` gives seconds since 1970.

        Raises:
            InputError: it cannot be written.
        """
        self.path, self._clock = Path(path), clock
        self._write(b"")

    def add(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Add an event: "start" or "end" of a run, or a "window".

        Raises:
            InputError: it cannot be written.
        """
        moment = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": moment, "event": kind, **plain(facts)}, sort_keys=True, allow_nan=False)
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
    """Events of a log in order. Other lines are left out with a warning, except one that is half written.

    Raises:
        InputError: the file does not exist or cannot be read.
    """
    return (event for event, _ in read_new(path, 0, unfinished=True) if event is not None)


def read_new(
    path: str | os.PathLike[str], position: int, unfinished: bool = False
) -> Iterator[tuple[dict[str, Any] | None, int]]:
    """Whole lines after byte `position`: the event of each (None: damaged), and where the next line starts.

    Reading starts at 0 again if the file became shorter. With `unfinished`, a last line without its end
    counts if it holds a whole event.

    Raises:
        InputError: the file does not exist or cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            if position > file.seek(0, os.SEEK_END):
                position = 0
            file.seek(position)
            damaged, first = 0, position
            for number, line in enumerate(lines(file, MAX_LINE_BYTES), 1):
                event = _parse(line)
                half = line is not None and not line.endswith(b"\n")  # it is being written
                if half and (isinstance(event, str) or not unfinished):
                    return
                if isinstance(event, str):
                    damaged += 1
                    where = f"the line at byte {position}" if first else f"line {number}"
                    _name(damaged, f"{path}, {where}", event)
                position = file.tell()
                yield event if isinstance(event, dict) else None, position
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the name") from error


def _parse(line: bytes | None) -> dict[str, Any] | str:
    """The event of a line, or what is wrong with it."""
    try:
        if line is None:
            raise ValueError(f"more than {MAX_LINE_BYTES} bytes")
        event = cast("dict[str, Any]", parse_json(line))
        if not isinstance(event["event"], str):
            raise ValueError("its event is not a string")
        parse_time(event["time"])
    except MALFORMED as error:
        return str(error)
    return event


def _name(count: int, where: str, problem: str) -> None:
    """Warn of a damaged line; after some lines, say once that there are no more warnings."""
    if count <= NAMED:
        logger.warning("%s: not an event of a monitor (%s); left out", where, problem)
    elif count == NAMED + 1:
        logger.warning("%s: damaged; this line and all further damaged lines are left out", where)
