"""The append-only log of a store: JSON lines, each with the hash of the one before.

A line is `P,"hash":"H"}` where H is the SHA-256 of the bytes P, and P holds the H of the line before. So a
changed, missing or moved line is found, and named, from the lines themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from audiocodec.errors import RegistryError
from audiocodec.outside import MALFORMED, parse_json, parse_time, read_bytes
from audiocodec.storage import make_folder, sync

KINDS = ("baseline", "publish", "refuse", "import", "activate", "rollback", "export")
NO_HASH = "0" * 64
STARTING_SUFFIX = ".new"
"""Suffix of a log without events. It is renamed when it has its first line, so no log is ever empty."""
MAX_LINE_BYTES = 1 << 20
MAX_LOG_BYTES = 1 << 30
IDENTITY = re.compile(r"[0-9a-f]{64}")
"""Identity of a model or of codebooks: a SHA-256."""
OnStep = Callable[[str], None]
"""Called with the name of each step that has just been done; tests stop the process there."""
_HASH_START = b',"hash":"'
_HASH_END = b'"}'
_TAIL_BYTES = len(_HASH_START) + 64 + len(_HASH_END)


@dataclass(frozen=True)
class Event:
    """One line of the log.

    Attributes:
        sequence: number of the event, from 0; it gives the order even if the clock went back.
        time: ISO 8601 in UTC.
        actor: who did it.
        kind: what was done, one of KINDS.
        model_id: identity of the model.
        codebook_id: identity of the codebooks.
        details: reason, provenance, file and the like; they differ by kind.
        notes: what was unusual, such as a clock that went back.
        previous: hash of the previous line.
        hash: hash of this line.
    """

    sequence: int
    time: str
    actor: str
    kind: str
    model_id: str
    codebook_id: str
    details: dict[str, Any]
    notes: tuple[str, ...]
    previous: str
    hash: str

    def as_json(self) -> dict[str, Any]:
        """The fields as they stand in the log."""
        fields = {**vars(self), "notes": list(self.notes)}
        return {"event" if name == "kind" else name: value for name, value in fields.items()}


@dataclass
class LogState:
    """Content of a log.

    Attributes:
        events: all events up to the first damaged line.
        torn: bytes after the last line, which a stopped writer left; they are ignored.
        ending: whether the last event is whole, but its end of line is missing.
        problem: which line is damaged and why; None if all are sound.
        size: number of bytes of the sound lines.
    """

    events: list[Event] = field(default_factory=list[Event])
    torn: bytes = b""
    ending: bool = False
    problem: str | None = None
    size: int = 0


class AuditLog:
    """Reads at any time; appends while the caller holds the lock of the store."""

    def __init__(self, path: Path, on_step: OnStep) -> None:
        self.path, self._on_step = path, on_step
        self._new = path.with_name(path.name + STARTING_SUFFIX)

    def start(self) -> None:
        """Mark, before the first revision is written, that the log will follow.

        Raises:
            RegistryError: the folder cannot be written.
        """
        if self.path.exists():
            return
        try:
            make_folder(self.path.parent)
            self._new.touch()
            sync(self.path.parent)
        except OSError as error:
            raise cannot_write(self._new, error) from error

    @property
    def starting(self) -> bool:
        """Whether its first writer has begun, but has not yet written the first event."""
        return self._new.exists() and not self.path.exists()

    def examine(self) -> LogState:
        """The content of the log, even if it is damaged.

        Raises:
            RegistryError: the file cannot be read.
        """
        state, data = LogState(), self._read()
        start = 0
        while start < len(data):
            end = data.find(b"\n", start)
            line = data[start:] if end < 0 else data[start:end]
            event = _parse(line, state.events)
            if isinstance(event, str):
                if end < 0:
                    state.torn = line
                else:
                    state.problem = f"{self.path}: line {len(state.events) + 1}: {event}"
                break
            state.events.append(event)
            state.ending = end < 0
            start = state.size = len(data) if end < 0 else end + 1
        return state

    def read(self) -> LogState:
        """The content of the log, after checking that all lines are sound.

        Raises:
            RegistryError: a line was changed, moved or lost.
        """
        state = self.examine()
        if state.problem is not None:
            raise RegistryError(
                f"{state.problem}; restore the log from a copy, nothing is changed until then"
            )
        return state

    def append(
        self,
        kind: str,
        model_id: str,
        codebook_id: str,
        details: Mapping[str, Any],
        *,
        actor: str,
        seconds: float,
    ) -> Event:
        """Add an event at `seconds` since 1970; what a stopped writer left unfinished is removed first.

        Raises:
            RegistryError: the log is not sound, the event is too large, the disk is full.
        """
        state = self.read()
        last = state.events[-1] if state.events else None
        now = _format_time(seconds)
        notes: list[str] = []
        if state.torn:
            digest = hashlib.sha256(state.torn).hexdigest()
            notes.append(f"removed {len(state.torn)} bytes of an unfinished line, SHA-256 {digest}")
        if last is not None and now < last.time:
            notes.append(f"the clock went back from {last.time}")
        unsigned = Event(
            sequence=len(state.events),
            time=now,
            actor=actor,
            kind=kind,
            model_id=model_id,
            codebook_id=codebook_id,
            details=dict(details),
            notes=tuple(notes),
            previous=last.hash if last is not None else NO_HASH,
            hash="",
        )
        line = _line(unsigned)
        self._write(state, line)
        event = _parse(line.rstrip(b"\n"), state.events)
        assert isinstance(event, Event), event
        return event

    def _read(self) -> bytes:
        return read_bytes(self.path, MAX_LOG_BYTES, RegistryError) if os.path.lexists(self.path) else b""

    def _write(self, state: LogState, line: bytes) -> None:
        """Write `line` after the sound lines; after an error the log is as before."""
        try:
            new = not self.path.exists()
            make_folder(self.path.parent)
            flags = os.O_RDWR | os.O_CREAT | (os.O_TRUNC if new else 0)
            descriptor = os.open(self._new if new else self.path, flags, 0o666)
            try:
                if state.torn:
                    os.ftruncate(descriptor, state.size)
                    self._on_step("log mended")
                os.lseek(descriptor, 0, os.SEEK_END)
                self._append(descriptor, b"\n" + line if state.ending else line, state.size)
            finally:
                os.close(descriptor)
            if new:
                os.replace(self._new, self.path)
                sync(self.path.parent)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._on_step("event written")

    def _append(self, descriptor: int, data: bytes, size: int) -> None:
        try:
            self._on_step("before event")
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise


def cannot_write(path: Path, error: OSError) -> RegistryError:
    """The error for a file that cannot be written."""
    return RegistryError(
        f"{path}: cannot be written ({error.strerror or error}); free some space or choose another store"
    )


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _line(event: Event) -> bytes:
    fields = event.as_json()
    del fields["hash"]
    try:
        start = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()[:-1]
    except (TypeError, ValueError) as error:
        raise RegistryError(
            f"details of a {event.kind} event are no JSON ({error}); use null for NaN"
        ) from error
    line = start + _HASH_START + hashlib.sha256(start).hexdigest().encode() + _HASH_END + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise RegistryError(f"an event of {len(line)} bytes; at most {MAX_LINE_BYTES} are logged")
    return line


def _parse(line: bytes, before: list[Event]) -> Event | str:
    """The event in the line that follows the events `before`, or what is wrong with the line."""
    start, tail = line[:-_TAIL_BYTES], line[-_TAIL_BYTES:]
    digest = hashlib.sha256(start).hexdigest()
    if len(line) > MAX_LINE_BYTES or tail != _HASH_START + digest.encode() + _HASH_END:
        return "its hash is wrong: the line was changed"
    try:
        fields = cast("dict[str, Any]", parse_json(line))
        texts = [str(fields[n]) for n in ("time", "actor", "event", "model_id", "codebook_id", "previous")]
        sequence, details, notes = int(fields["sequence"]), dict(fields["details"]), fields["notes"]
        time, actor, kind, model_id, codebook_id, previous = texts
        noted = tuple(str(note) for note in notes)
        parse_time(time)
        if not (IDENTITY.fullmatch(model_id) and IDENTITY.fullmatch(codebook_id)):
            raise ValueError("an identity is not 64 hexadecimal digits")
    except MALFORMED as error:
        return f"it is not an event ({error})"
    if sequence != len(before) or previous != (before[-1].hash if before else NO_HASH):
        return "it does not follow the line before: the chain is broken"
    if kind not in KINDS:
        return f"event {kind!r} is not known; a newer version wrote it, update audiocodec"
    return Event(sequence, time, actor, kind, model_id, codebook_id, details, noted, previous, digest)
