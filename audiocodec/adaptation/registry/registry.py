"""The registry of codebook revisions: publish, activate, roll back, and give any of them for ever."""

from __future__ import annotations

import getpass
import os
import platform
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from audiocodec.adaptation.registry.audit import (
    IDENTITY,
    STARTING_SUFFIX,
    AuditLog,
    Event,
    OnStep,
    cannot_write,
)
from audiocodec.adaptation.registry.delta import Array
from audiocodec.adaptation.registry.revision import History, Provenance, Revision, histories
from audiocodec.adaptation.registry.revision_files import (
    FileFacts,
    RevisionFolder,
    StoredCodebooks,
    identify,
    pack,
    to_arrays,
    to_tensors,
)
from audiocodec.errors import RegistryError
from audiocodec.revisions import ID_DIGITS
from audiocodec.storage import locked, make_folder

if TYPE_CHECKING:
    from torch import Tensor

LOG_NAME = "log.jsonl"
REVISIONS_NAME = "revisions"
LOCK_NAME = "lock"
TRUST_NAME = "trust"
REFRESH_LOCK_NAME = "refresh.lock"
ENVIRONMENTS_NAME = "environments"
MONITOR_LOG_NAME = "monitor.jsonl"
STORE_PARTS = frozenset(
    {
        LOG_NAME,
        LOG_NAME + STARTING_SUFFIX,
        REVISIONS_NAME,
        LOCK_NAME,
        TRUST_NAME,
        REFRESH_LOCK_NAME,
        ENVIRONMENTS_NAME,
        MONITOR_LOG_NAME,
    }
)
"""Names of all files and folders in a store."""
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Finding:
    """A problem that `Registry.verify` found.

    Attributes:
        level: "error": something is lost or was changed; "note": odd but harmless, such as what a stopped
            writer left.
        where: the file.
        problem: what is wrong, and what to do.
    """

    level: Literal["error", "note"]
    where: Path
    problem: str


class Registry:
    """A store of codebook revisions in a folder; a `CodebookStore` for `audiocodec.load`.

    Any number of processes may read while one writes; writers wait for each other. Stopping a process at any
    moment loses at most what it was about to add. Nothing is ever changed or deleted.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        actor: str | None = None,
        wait_seconds: float = WAIT_SECONDS,
        on_step: OnStep = lambda step: None,
    ) -> None:
        """The store at `path`, made when something is first written.

        `clock` gives seconds since 1970; `actor` is who is named in the log (None: user and machine);
        `wait_seconds` is how long to wait for other writers; `on_step` is called after every step that
        reached the disk.
        """
        self.path = Path(path)
        self.files = RevisionFolder(self.path / REVISIONS_NAME, on_step)
        self._log = AuditLog(self.path / LOG_NAME, on_step)
        self._clock, self._actor, self._wait_seconds = clock, actor, wait_seconds

    def get(self, codebook_id: str) -> dict[str, Tensor]:
        """Tensors of the revision whose identity starts with `codebook_id`, verified.

        Raises:
            RegistryError: the revision is not in the store, or it is damaged.
        """
        path = self.files.find(codebook_id)
        if path is None:
            raise RegistryError(
                f"codebook {codebook_id} is not in the store {self.path}; import it: whoever has it makes a"
                f" file with `audiocodec codebooks export {codebook_id[:ID_DIGITS]}`"
            )
        return to_tensors(self.files.load(self.files.model_of(path), path.stem).codebooks)

    def active(self, model_id: str) -> Revision | None:
        """The revision that new files of a model are encoded with; None if the store does not know the model.

        Raises:
            RegistryError: the log is not sound.
        """
        history = self.history(model_id)
        return None if history.active is None else history.revision(history.active)

    def revisions(self, model_id: str | None = None) -> list[Revision]:
        """Every revision, of one model or of all, oldest first.

        Raises:
            RegistryError: the log is not sound.
        """
        matching = [
            history.revision(codebook_id)
            for known_model, history in self.histories().items()
            if model_id is None or known_model.startswith(model_id)
            for codebook_id in history.revisions
        ]
        return sorted(matching, key=lambda revision: revision.sequence)

    def revision(self, codebook_id: str, model_id: str | None = None) -> Revision:
        """The one revision whose identity starts with `codebook_id`.

        Raises:
            RegistryError: no revision or several match, or the log is not sound.
        """
        known = self.revisions(model_id)
        matching = [r for r in known if codebook_id and r.codebook_id.startswith(codebook_id)]
        if len(matching) != 1:
            names = ", ".join(revision.codebook_id[:12] for revision in matching or known)
            problem = "is not known" if not matching else "means more than one"
            raise RegistryError(
                f"{self.path}: codebook {codebook_id!r} {problem}; there {'are' if names else 'is'}"
                f" {names or 'nothing in this store'}"
            )
        return matching[0]

    def log(self) -> list[Event]:
        """Every event, oldest first.

        Raises:
            RegistryError: the log is not sound, or lost.
        """
        events = self._log.read().events
        problem = None if events else self._lost_log()
        if problem is not None:
            raise RegistryError(f"{self._log.path}: {problem}")
        histories(events)  # a contradiction in the log is refused here, whatever is asked of the events
        return events

    def histories(self) -> dict[str, History]:
        """What happened to every model, by model_id."""
        return histories(self.log())

    def history(self, model_id: str) -> History:
        """What happened to one model."""
        return self.histories().get(model_id, History())

    def baseline(
        self,
        model_id: str,
        codebooks: Mapping[str, Tensor],
        *,
        model: str = "",
        statistics: Mapping[str, Any] | None = None,
    ) -> Revision:
        """Add the codebooks that a model came with; they are active until others are. Idempotent.

        `model` is its name, for people; `statistics` are those of the data it was trained on.

        Raises:
            RegistryError: the log is not sound, or the store cannot be written.
        """
        arrays = to_arrays(codebooks)
        codebook_id = identify(arrays)
        with self.locked():
            history = self.history(model_id)
            if codebook_id in history.revisions:
                return history.revision(codebook_id)
            provenance = Provenance(reason="the model's own codebooks", statistics=statistics, model=model)
            return self._add("baseline", model_id, arrays, None, provenance)

    def publish(
        self,
        model_id: str,
        codebooks: Mapping[str, Tensor],
        parent: str | None,
        *,
        reason: str,
        fingerprint: str | None = None,
        statistics: Mapping[str, Any] | None = None,
        verdict: Mapping[str, Any] | None = None,
        environment: str | None = None,
        refused: bool = False,
    ) -> Revision:
        """Add codebooks, exactly as given, fitted from the revision `parent` (None: from nothing in here).

        They do not become active. Those that went through `round_changes` take a quarter of the space. They
        may include further tensors that decoding needs (`map.scale`, `decoder.*`), which count for the
        identity. `refused` keeps a candidate that failed its acceptance test. The other arguments are fields
        of `Provenance`; `statistics` and `verdict` are JSON.

        Raises:
            RegistryError: nothing changed, the parent is missing or damaged, the log is not sound, or the
                store cannot be written.
        """
        if not IDENTITY.fullmatch(model_id):
            raise RegistryError(
                f"model_id is {model_id!r}; expected 64 hexadecimal digits, as in Codec.model_id"
            )
        provenance = Provenance(parent, reason, fingerprint, statistics, verdict, environment)
        arrays = to_arrays(codebooks)
        codebook_id = identify(arrays)
        with self.locked():
            history = self.history(model_id)
            if parent is not None and parent not in history.revisions:
                raise RegistryError(
                    f"{self.path}: the parent {parent[:ID_DIGITS]} is no revision of model"
                    f" {model_id[:ID_DIGITS]} here; add the model's own codebooks first"
                )
            known = history.revisions.get(codebook_id)
            if codebook_id == parent or (known is not None and known.kind == "baseline"):
                raise RegistryError(
                    f"codebook {codebook_id[:ID_DIGITS]} is the same as before: nothing changed"
                )
            base = None if parent is None else self.files.load(model_id, parent)
            return self._add("refuse" if refused else "publish", model_id, arrays, base, provenance)

    def activate(self, codebook_id: str, *, reason: str = "", force: bool = False) -> Revision:
        """Encode new files with these codebooks from now on; the first digits of the identity are enough.

        Raises:
            RegistryError: the revision is missing, was refused (and `force` is False), or needs a damaged
                file. The active codebooks stay as they were.
        """
        with self.locked():
            revision = self.revision(codebook_id)
            if revision.status == "refused" and not force:
                raise RegistryError(
                    f"codebook {revision.codebook_id[:ID_DIGITS]} was refused ({revision.provenance.reason});"
                    " to use it all the same, activate it with --force"
                )
            self.files.load(revision.model_id, revision.codebook_id)
            if not revision.active:
                self._switch("activate", revision, reason)
            return self.revision(revision.codebook_id, revision.model_id)

    def rollback(self, model_id: str, *, reason: str = "") -> Revision:
        """Activate the codebooks that were active before; a second rollback goes back further.

        Raises:
            RegistryError: no other codebooks were active before, or they are damaged. The active codebooks
                stay as they were.
        """
        with self.locked():
            history = self.history(model_id)
            if len(history.trail) < 2:
                raise RegistryError(
                    f"{self.path}: model {model_id[:ID_DIGITS]} has no earlier active codebooks to go back to"
                )
            revision = history.revision(history.trail[-2])
            self.files.load(model_id, revision.codebook_id)
            self._switch("rollback", revision, reason)
            return self.revision(revision.codebook_id, model_id)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other writers out.

        Raises:
            RegistryError: another process has been writing for `wait_seconds`, or the folder cannot be made.
        """
        path = self.path / LOCK_NAME
        with ExitStack() as stack:
            try:
                make_folder(self.path)
                stack.enter_context(locked(path, self._wait_seconds))
            except TimeoutError as error:
                raise RegistryError(
                    f"{self.path}: another process has been writing for {self._wait_seconds:.0f} s; wait for"
                    " its end"
                ) from error
            except OSError as error:
                raise cannot_write(path, error) from error
            yield

    def add_file(self, facts: FileFacts, data: bytes) -> None:
        """Write a revision file, before the event that names it; only while `locked`."""
        self._log.start()
        self.files.add(facts, data)

    def log_event(self, kind: str, model_id: str, codebook_id: str, details: Mapping[str, Any]) -> Event:
        """Append to the log; only while `locked`."""
        return self._log.append(
            kind, model_id, codebook_id, details, actor=self._actor or _default_actor(), seconds=self._clock()
        )

    def verify(self, head: str | None = None) -> list[Finding]:
        """Check the chain of the log, and every revision against its name and against the log.

        An empty list means that all is well. `head` is the hash of an event that was seen before: if it is
        missing, the log was cut off.
        """
        log = self._log
        try:
            state = log.examine()
        except RegistryError as error:
            return [Finding("error", log.path, str(error))]
        findings: list[Finding] = []
        if state.problem is not None:
            problem = state.problem.removeprefix(f"{log.path}: ")
            findings.append(
                Finding(
                    "error",
                    log.path,
                    f"{problem}; all lines after it are ignored; restore the log from a copy",
                )
            )
        lost = None if state.events or state.problem is not None else self._lost_log()
        if lost is not None:
            findings.append(Finding("error", log.path, lost))
        if state.torn:
            text = (
                f"{len(state.torn)} bytes of an unfinished line at its end: a writer was stopped; the next"
                " one removes them"
            )
            findings.append(Finding("note", log.path, text))
        if head is not None and head not in {event.hash for event in state.events}:
            findings.append(
                Finding("error", log.path, f"event {head} is not in the log: its end was cut off")
            )
        findings += [
            Finding("note", log.path, f"event {event.sequence}: {note}")
            for event in state.events
            for note in event.notes
        ]
        try:
            known = histories(state.events)
        except RegistryError as error:
            return [*findings, Finding("error", log.path, str(error))]
        events = [event for history in known.values() for event in history.revisions.values()]
        return findings + self._verify_files(events, log_is_whole=state.problem is None and lost is None)

    def _verify_files(self, events: list[Event], log_is_whole: bool) -> list[Finding]:
        """Every file against the event that names it, and files that no event names."""
        findings: list[Finding] = []
        logged: set[Path] = set()
        for event in events:
            path = self.files.path(event.model_id, event.codebook_id)
            logged.add(path)
            try:
                self.files.load(event.model_id, event.codebook_id)
                described = self.files.describe(event.model_id, event.codebook_id)
            except RegistryError as error:
                findings.append(Finding("error", path, str(error).removeprefix(f"{path}: ")))
                continue
            if described != event.details.get("file"):
                text = f"not the file that event {event.sequence} of the log describes"
                findings.append(Finding("error", path, text))
        for path, codebook_id in self.files.listing():
            if path in logged:
                continue
            if not codebook_id:
                findings.append(Finding("error", path, "not a revision file; move it out of the store"))
            elif not log_is_whole:
                findings.append(Finding("note", path, "the log's entry for it is lost"))
            else:
                text = f"codebook {codebook_id[:ID_DIGITS]} was being added when its writer was stopped"
                findings.append(Finding("note", path, f"{text}; add it again"))
        return findings + [
            Finding("note", path, "left by a writer that was stopped; may be deleted")
            for path in self.files.leftovers()
        ]

    def _lost_log(self) -> str | None:
        """What is wrong with a log without events, and how to repair it; None if nothing was logged yet.

        The first writer of a store may be at work: it marks that it started, then adds a file, then names the
        log. So this lists the files first, then asks for the mark, and reads the log last.
        """
        files = self.files.listing()
        log = self._log
        if log.starting or not (files or log.path.exists()) or log.examine().events:
            return None
        problem = "it holds no event" if log.path.exists() else "missing, although there are revisions"
        return (
            f"{problem}; restore it from a copy; without one, move {self.files.root} aside and add the"
            " revisions again, from .nacbook files or by `refresh`"
        )

    def _add(
        self,
        kind: str,
        model_id: str,
        arrays: Mapping[str, Array],
        base: StoredCodebooks | None,
        provenance: Provenance,
    ) -> Revision:
        """Write a file and the event that names it; only while `locked`."""
        data, facts = pack(model_id, arrays, base)
        self.add_file(facts, data)
        file = self.files.describe(model_id, facts.codebook_id)
        details = {"provenance": provenance.as_json(), "file": file}
        self.log_event(kind, model_id, facts.codebook_id, details)
        return self.revision(facts.codebook_id, model_id)

    def _switch(self, kind: str, revision: Revision, reason: str) -> None:
        history = self.history(revision.model_id)
        details = {"from": history.active, "reason": reason}
        self.log_event(kind, revision.model_id, revision.codebook_id, details)


def is_store(folder: Path) -> bool:
    """Whether a folder is a store: it has a log, or revisions whose log was lost."""
    return (folder / LOG_NAME).exists() or (folder / REVISIONS_NAME).exists()


def open_registry(folder: Path, *, new: bool = False) -> Registry:
    """The store in a folder. It must exist, unless `new` is True: then the folder may be empty or missing.

    Raises:
        RegistryError: there is no store, or the path is a file or a folder of something else.
    """
    if folder.exists() and not folder.is_dir():
        raise RegistryError(f"{folder}: a file, not a store; name a folder with --store")
    if is_store(folder):
        return Registry(folder)
    if not new:
        raise RegistryError(
            f"{folder}: no store there; name another with --store, or make one:"
            f" `audiocodec refresh RECORDINGS --store {folder}` or"
            f" `audiocodec codebooks import FILE --store {folder}`"
        )
    try:
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise RegistryError(f"{folder}: cannot be read ({error.strerror}); choose another --store") from error
    others = [name for name in names if name not in STORE_PARTS]
    if others:
        raise RegistryError(
            f"{folder}: not a store, and not empty ({others[0]}); name a store, or an empty folder for a new"
            " one"
        )
    return Registry(folder)


def _default_actor() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name
        user = "unknown"
    return f"{user}@{platform.node()}"
