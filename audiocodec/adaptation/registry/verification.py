"""Reading a whole store and saying what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audiocodec.adaptation.registry.audit import AuditLog, Event
from audiocodec.adaptation.registry.revision import histories
from audiocodec.adaptation.registry.shelf import ID_DIGITS, Shelf
from audiocodec.errors import RegistryError


@dataclass(frozen=True)
class Finding:
    """Something that was found.

    Attributes:
        level: "error": something is lost or was changed; "note": odd, such as what a stopped writer left, but
            harmless.
        where: the file.
        problem: what it is, and what to do.
    """

    level: Literal["error", "note"]
    where: Path
    problem: str


def lost_log(log: AuditLog, shelf: Shelf) -> str | None:
    """What is wrong with a log without events, and how to mend it; None where nothing has been logged yet.

    A first writer may be at work: first it says so, then it adds a file, then the log gets its name. So this
    looks for files before it asks for the writer, and reads the log last.
    """
    files = shelf.identities()
    if log.starting or not (files or log.path.exists()) or log.examine().events:
        return None
    problem = "there is no event in it" if log.path.exists() else "missing, although there are revisions"
    return (
        f"{problem}; restore it from a copy; without one, move {shelf.root} aside and take the revisions in"
        " again, from .nacbook files or by `refresh`"
    )


def examine(log: AuditLog, shelf: Shelf, head: str | None = None) -> list[Finding]:
    """Check the chain of the log, and every revision against its name and against the log."""
    try:
        state = log.examine()
    except RegistryError as error:
        return [Finding("error", log.path, str(error))]
    found: list[Finding] = []
    if state.problem is not None:
        problem = state.problem.removeprefix(f"{log.path}: ")
        found.append(
            Finding("error", log.path, f"{problem}; nothing after it counts; restore it from a copy")
        )
    lost = None if state.events or state.problem is not None else lost_log(log, shelf)
    if lost is not None:
        found.append(Finding("error", log.path, lost))
    if state.torn:
        found.append(Finding("note", log.path, _torn(len(state.torn))))
    if head is not None and head not in {event.hash for event in state.events}:
        found.append(Finding("error", log.path, f"event {head} is not in it: its end was cut off"))
    found += [
        Finding("note", log.path, f"event {event.sequence}: {note}")
        for event in state.events
        for note in event.notes
    ]
    logged: set[Path] = set()
    try:
        known = [
            event for history in histories(state.events).values() for event in history.revisions.values()
        ]
    except RegistryError as error:
        return [*found, Finding("error", log.path, str(error))]
    for event in known:
        logged.add(shelf.path(event.model_id, event.codebook_id))
        found += _check(shelf, event)
    for path, identity in shelf.identities():
        if path not in logged:
            found.append(_unlogged(path, identity, state.problem is None and lost is None))
    found += [
        Finding("note", path, "left by a writer that was stopped; may be deleted")
        for path in shelf.leftovers()
    ]
    return found


def _check(shelf: Shelf, event: Event) -> list[Finding]:
    path = shelf.path(event.model_id, event.codebook_id)
    try:
        shelf.load(event.model_id, event.codebook_id)
        described = shelf.describe(event.model_id, event.codebook_id)
    except RegistryError as error:
        return [Finding("error", path, str(error).removeprefix(f"{path}: "))]
    if described != event.details.get("file"):
        return [Finding("error", path, f"not the file that event {event.sequence} of the log describes")]
    return []


def _unlogged(path: Path, identity: str, whole: bool) -> Finding:
    if not identity:
        return Finding("error", path, "no revision file; move it out of the store")
    if not whole:
        return Finding("note", path, "what the log says of it is lost")
    return Finding(
        "note",
        path,
        f"codebook {identity[:ID_DIGITS]} was being added when its writer was stopped; add it again",
    )


def _torn(size: int) -> str:
    return f"{size} bytes of an unfinished line at its end: a writer was stopped; the next one removes them"
