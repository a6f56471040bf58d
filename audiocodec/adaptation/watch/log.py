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

from audiocodec.adaptation.watch.monitor import WindowReport
from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED, lines, parse_json, parse_time
from audiocodec.storage import plain

LOG_NAME = "monitor.jsonl"
"""Inside a store of codebooks."""
MAX_LINE_BYTES = 1 << 20
NAMED = 5
"""Damaged lines; more are left out without a word of their own."""
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
    """Events of a log in order; other lines are left out, and named, but for those that are half written.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    try:
        with Path(path).open("rb") as file:
            damaged = 0
            for number, line in enumerate(lines(file, MAX_LINE_BYTES), 1):
                event = _parse(line)
                if isinstance(event, dict):
                    yield event
                elif line is None or line.endswith(b"\n"):  # else it is being written
                    damaged += 1
                    _name(damaged, f"{path}, line {number}", event)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the name") from error


def read_new(path: str | os.PathLike[str], position: int) -> Iterator[tuple[dict[str, Any] | None, int]]:
    """Whole lines after byte `position`, each as an event (None: it is none) and where the next one starts.

    It starts at 0 again if the file became shorter.

    Raises:
        InputError: there is no such file, or it may not be read.
    """
    try:
        with Path(path).open("rb") as file:
            if position > file.seek(0, os.SEEK_END):
                position = 0
            file.seek(position)
            damaged = 0
            for line in lines(file, MAX_LINE_BYTES):
                if line is not None and not line.endswith(b"\n"):
                    return  # it is being written
                event = _parse(line)
                if isinstance(event, str):
                    damaged += 1
                    _name(damaged, f"{path}, the line at byte {position}", event)
                position = file.tell()
                yield event if isinstance(event, dict) else None, position
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the name") from error


def _parse(line: bytes | None) -> dict[str, Any] | str:
    """The event of a line, or why it is none."""
    try:
        if line is None:
            raise ValueError(f"more than {MAX_LINE_BYTES} bytes")
        found = cast("dict[str, Any]", parse_json(line))
        if not isinstance(found["event"], str):
            raise ValueError("its event is no text")
        parse_time(found["time"])
    except MALFORMED as error:
        return str(error)
    return found


def _name(count: int, where: str, problem: str) -> None:
    """Say what is left out; after some lines that the rest goes unnamed."""
    if count <= NAMED:
        logger.warning("%s: no event of a monitor (%s); left out", where, problem)
    elif count == NAMED + 1:
        logger.warning("%s: left out, as all that follow it and are no events", where)
