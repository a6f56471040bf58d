"""The registry of codebook revisions: publish, activate, roll back, and give any of them for ever."""

from __future__ import annotations

import getpass
import platform
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Required, TypedDict, Unpack

from audiocodec.adaptation.registry.audit import Event
from audiocodec.adaptation.registry.catalogue import LOCK_NAME, Catalogue
from audiocodec.adaptation.registry.delta import round_changes
from audiocodec.adaptation.registry.disk import WAIT_SECONDS, OnStep, locked
from audiocodec.adaptation.registry.revision import Provenance, Revision
from audiocodec.adaptation.registry.revision_file import IDENTITY, FileFacts, identify, pack, to_arrays
from audiocodec.adaptation.registry.shelf import ID_DIGITS
from audiocodec.adaptation.registry.transfer import export_revision, import_bundle
from audiocodec.errors import RegistryError

if TYPE_CHECKING:
    import os

    from torch import Tensor


class Origin(TypedDict, total=False):
    """What is said of codebooks that are added.

    Attributes:
        reason: why they were made.
        fingerprint: identity of the data they were fitted to.
        statistics: measured before and after; JSON.
        verdict: of the acceptance test; JSON.
        environment: label of the acoustic environment they are for.
        extras: further tensors that decoding needs, such as `map.scale` and `map.shift` of
            `quantizers.latent_map`; they count for the identity, and `get` gives them too.
    """

    reason: Required[str]
    fingerprint: str | None
    statistics: Mapping[str, Any] | None
    verdict: Mapping[str, Any] | None
    environment: str | None
    extras: Mapping[str, Tensor] | None


class Registry(Catalogue):
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
        `wait_seconds` is for other writers; `on_step` is told of every step that reached the disk.
        """
        super().__init__(Path(path), on_step)
        self._clock, self._actor, self._wait_seconds = clock, actor, wait_seconds

    def baseline(
        self,
        model_id: str,
        codebooks: Mapping[str, Tensor],
        *,
        model: str = "",
        statistics: Mapping[str, Any] | None = None,
    ) -> Revision:
        """Take in the codebooks a model came with; they are active until others are. Twice is as once.

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
            data, facts = pack(model_id, arrays, None)
            self.add_file(facts, data)
            provenance = Provenance(reason="the model's own codebooks", statistics=statistics, model=model)
            self.log_event(
                "baseline", model_id, codebook_id, self._details(model_id, codebook_id, provenance)
            )
            return self.revision(codebook_id, model_id)

    def publish(
        self, model_id: str, codebooks: Mapping[str, Tensor], parent: str | None, **origin: Unpack[Origin]
    ) -> Revision:
        """Add codebooks, exactly as given, fitted from `parent` (an identity; None: from nothing here).

        They are not active yet. Those that went through `rounded` take a quarter of the space.

        Raises:
            RegistryError: nothing changed, the parent is not there or damaged, the log is not sound, or the
                store cannot be written.
        """
        return self._add("publish", model_id, codebooks, parent, origin)

    def refuse(
        self, model_id: str, codebooks: Mapping[str, Tensor], parent: str | None, **origin: Unpack[Origin]
    ) -> Revision:
        """Keep a candidate that was not good enough, with its verdict; otherwise as `publish`."""
        return self._add("refuse", model_id, codebooks, parent, origin)

    def rounded(self, codebooks: Mapping[str, Tensor], parent: str) -> dict[str, Tensor]:
        """The nearest codebooks that are small as changes to `parent`: fit, round, judge, publish.

        Raises:
            RegistryError: the parent is not there or damaged.
        """
        return round_changes(self.get(parent), codebooks)

    def activate(self, codebook_id: str, *, reason: str = "", force: bool = False) -> Revision:
        """Encode new files with these codebooks from now on; a prefix of the identity is enough.

        Raises:
            RegistryError: they are not there, were refused and `force` is False, or anything in the way is
                damaged; what was active then stays so.
        """
        with self.locked():
            revision = self.revision(codebook_id)
            if revision.status == "refused" and not force:
                raise RegistryError(
                    f"codebook {revision.codebook_id[:ID_DIGITS]} was refused ({revision.provenance.reason});"
                    " to use it all the same, say force"
                )
            self.shelf.load(revision.model_id, revision.codebook_id)
            if not revision.active:
                self._switch("activate", revision, reason)
            return self.revision(revision.codebook_id, revision.model_id)

    def rollback(self, model_id: str, *, reason: str = "") -> Revision:
        """Make those codebooks active that were so before; once more goes back further.

        Raises:
            RegistryError: nothing was active before, or it is damaged; what is active then stays so.
        """
        with self.locked():
            history = self.history(model_id)
            if len(history.trail) < 2:
                raise RegistryError(
                    f"{self.path}: model {model_id[:ID_DIGITS]} has no earlier active codebooks to go back to"
                )
            revision = history.revision(history.trail[-2])
            self.shelf.load(model_id, revision.codebook_id)
            self._switch("rollback", revision, reason)
            return self.revision(revision.codebook_id, model_id)

    def export(
        self,
        codebook_id: str,
        path: str | os.PathLike[str],
        *,
        full: bool = False,
        since: str | None = None,
        sign: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Revision:
        """Write a `.nacbook` file from which another store can take a revision.

        It holds the changes to the model's own codebooks, which the receiver has; with `since`, to a revision
        he got before; or with `full` the codebooks whole. `sign` is a file with a private key.

        Raises:
            RegistryError: the revision is not there or damaged.
            InputError: the file exists already or cannot be written, or the key cannot be used.
        """
        return export_revision(
            self, codebook_id, path, full=full, since=since, sign=sign, overwrite=overwrite
        )

    def import_(
        self, path: str | os.PathLike[str], *, trust: Sequence[str | os.PathLike[str]] = ()
    ) -> list[Revision]:
        """Take in the revisions of a `.nacbook` file, the one that was asked for last; none becomes active.

        With public keys in `trust`, or in the folder `trust` of the store, only what one of them has signed
        is taken. Take in the model's own codebooks by `baseline` before, as files hold the changes to them.

        Raises:
            RegistryError: the file is damaged, not trusted, of a model that this store is not for, or needs
                codebooks that are not there; nothing is taken then.
        """
        return import_bundle(self, path, trust)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other writers out."""
        with locked(self.path / LOCK_NAME, self._wait_seconds):
            yield

    def add_file(self, facts: FileFacts, data: bytes) -> None:
        """Put a revision file on the shelf, before the event that names it; only while `locked`."""
        self._log.start()
        self.shelf.add(facts, data)

    def log_event(self, kind: str, model_id: str, codebook_id: str, details: Mapping[str, Any]) -> Event:
        """Append to the log; only while `locked`."""
        return self._log.append(
            kind, model_id, codebook_id, details, actor=self._actor or _default_actor(), seconds=self._clock()
        )

    def _add(
        self, kind: str, model_id: str, codebooks: Mapping[str, Tensor], parent: str | None, origin: Origin
    ) -> Revision:
        extras = origin.get("extras") or {}
        if extras.keys() & codebooks.keys():
            raise RegistryError(
                f"extras are named as codebooks are: {sorted(extras.keys() & codebooks.keys())}"
            )
        provenance = Provenance(
            parent=parent,
            reason=origin.get("reason", ""),
            fingerprint=origin.get("fingerprint"),
            statistics=origin.get("statistics"),
            verdict=origin.get("verdict"),
            environment=origin.get("environment"),
        )
        codebooks = {**codebooks, **extras}
        _check_identity(model_id)
        arrays = to_arrays(codebooks)
        codebook_id = identify(arrays)
        with self.locked():
            history = self.history(model_id)
            if parent is not None and parent not in history.revisions:
                raise RegistryError(
                    f"{self.path}: the parent {parent[:ID_DIGITS]} is no revision of model"
                    f" {model_id[:ID_DIGITS]} here; take in the model's own codebooks first"
                )
            known = history.revisions.get(codebook_id)
            if codebook_id == parent or (known is not None and known.kind == "baseline"):
                raise RegistryError(
                    f"codebook {codebook_id[:ID_DIGITS]} is what was there before: nothing changed"
                )
            base = None if parent is None else self.shelf.load(model_id, parent)
            data, facts = pack(model_id, arrays, base)
            self.add_file(facts, data)
            self.log_event(kind, model_id, codebook_id, self._details(model_id, codebook_id, provenance))
            return self.revision(codebook_id, model_id)

    def _details(self, model_id: str, codebook_id: str, provenance: Provenance) -> dict[str, Any]:
        return {"provenance": provenance.as_json(), "file": self.shelf.describe(model_id, codebook_id)}

    def _switch(self, kind: str, revision: Revision, reason: str) -> None:
        history = self.history(revision.model_id)
        details = {"from": history.active, "reason": reason}
        self.log_event(kind, revision.model_id, revision.codebook_id, details)


def _check_identity(model_id: str) -> None:
    if not IDENTITY.fullmatch(model_id):
        raise RegistryError(f"model_id is {model_id!r}; expected 64 hexadecimal digits, as in Codec.model_id")


def _default_actor() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name
        user = "unknown"
    return f"{user}@{platform.node()}"
