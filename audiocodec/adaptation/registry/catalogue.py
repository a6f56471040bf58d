"""What a store holds, for those who read it: codebooks, revisions, the log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.adaptation.registry.audit import STARTING_SUFFIX, AuditLog, Event
from audiocodec.adaptation.registry.disk import OnStep
from audiocodec.adaptation.registry.revision import History, Revision, histories
from audiocodec.adaptation.registry.revision_file import to_tensors
from audiocodec.adaptation.registry.shelf import ID_DIGITS, Shelf
from audiocodec.adaptation.registry.verification import Finding, examine, lost_log
from audiocodec.errors import RegistryError

if TYPE_CHECKING:
    from torch import Tensor

LOG_NAME = "log.jsonl"
REVISIONS_NAME = "revisions"
LOCK_NAME = "lock"
TRUST_NAME = "trust"
PARTS = (LOG_NAME, LOG_NAME + STARTING_SUFFIX, REVISIONS_NAME, LOCK_NAME, TRUST_NAME)
"""All that a registry has in its folder."""


class Catalogue:
    """Reads a store, which others may be writing to; takes no lock and changes nothing."""

    def __init__(self, path: Path, on_step: OnStep) -> None:
        self.path = path
        self.shelf = Shelf(path / REVISIONS_NAME, on_step)
        self._log = AuditLog(path / LOG_NAME, on_step)

    def get(self, codebook_id: str) -> dict[str, Tensor]:
        """Codebooks whose identity starts with `codebook_id`, extras included, verified.

        Raises:
            RegistryError: they are not in the store, or damaged.
        """
        path = self.shelf.find(codebook_id)
        if path is None:
            raise RegistryError(
                f"codebook {codebook_id} is not in the store {self.path}; import it: whoever has it makes a"
                f" file with `audiocodec codebooks export {codebook_id[:ID_DIGITS]}`"
            )
        return to_tensors(self.shelf.load(self.shelf.model_of(path), path.stem).codebooks)

    def active(self, model_id: str) -> Revision | None:
        """The revision that new files of a model are encoded with; None where the store knows none.

        Raises:
            RegistryError: the log is not sound.
        """
        history = self.history(model_id)
        return None if history.active is None else history.revision(history.active)

    def revisions(self, model_id: str | None = None) -> list[Revision]:
        """Every revision, of one model or of all, in the order in which they came.

        Raises:
            RegistryError: the log is not sound.
        """
        found = [
            history.revision(codebook_id)
            for identity, history in self.histories().items()
            if model_id is None or identity.startswith(model_id)
            for codebook_id in history.revisions
        ]
        return sorted(found, key=lambda revision: revision.sequence)

    def revision(self, codebook_id: str, model_id: str | None = None) -> Revision:
        """The one revision whose identity starts with `codebook_id`.

        Raises:
            RegistryError: there is none, or more than one; or the log is not sound.
        """
        found = [r for r in self.revisions(model_id) if codebook_id and r.codebook_id.startswith(codebook_id)]
        if len(found) != 1:
            names = ", ".join(revision.codebook_id[:12] for revision in found or self.revisions(model_id))
            problem = "is not known" if not found else "means more than one"
            raise RegistryError(
                f"{self.path}: codebook {codebook_id!r} {problem}; there {'are' if names else 'is'}"
                f" {names or 'nothing in this store'}"
            )
        return found[0]

    def log(self) -> list[Event]:
        """Every event, oldest first.

        Raises:
            RegistryError: the log is not sound, or lost.
        """
        events = self._log.read().events
        problem = None if events else lost_log(self._log, self.shelf)
        if problem is not None:
            raise RegistryError(f"{self._log.path}: {problem}")
        histories(events)  # what is no history is refused here, whatever is asked of the events
        return events

    def histories(self) -> dict[str, History]:
        """What happened to every model, by its identity."""
        return histories(self.log())

    def history(self, model_id: str) -> History:
        """What happened to one model."""
        return self.histories().get(model_id, History())

    def verify(self, head: str | None = None) -> list[Finding]:
        """Read and check everything; an empty list says that all is well.

        `head` is the hash of an event seen before: its absence shows a log that was cut off.
        """
        return examine(self._log, self.shelf, head)
