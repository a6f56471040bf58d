"""What is known about each revision. All of it is derived from the log, and stored nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from audiocodec.adaptation.registry.audit import Event
from audiocodec.errors import RegistryError

Status = Literal["baseline", "published", "refused", "imported"]
_STATUS: Mapping[str, Status] = {
    "baseline": "baseline",
    "publish": "published",
    "refuse": "refused",
    "import": "imported",
}


@dataclass(frozen=True)
class Provenance:
    """Where codebooks come from.

    Attributes:
        parent: codebooks they were fitted from.
        reason: why they were made.
        fingerprint: identity of the data they were fitted to.
        statistics: measured before and after.
        verdict: result of the acceptance test.
        environment: name of the acoustic environment they were made for.
        model: name of the model, for people.
    """

    parent: str | None = None
    reason: str = ""
    fingerprint: str | None = None
    statistics: Mapping[str, Any] | None = None
    verdict: Mapping[str, Any] | None = None
    environment: str | None = None
    model: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fields that are given."""
        return {name: value for name, value in vars(self).items() if value is not None and value != ""}


@dataclass(frozen=True)
class Revision:
    """One set of codebooks of a model.

    Attributes:
        model_id: identity of the model.
        codebook_id: identity of the codebooks, as files name it.
        status: baseline, published, refused or imported.
        active: whether new files are encoded with it.
        created: when it came into this store, ISO 8601 in UTC.
        actor: who put it there.
        provenance: where it comes from.
        file: `bytes`, `sha256`, `kind` (full or delta), `base`, `depth` and `changed` entries of its file.
        signer: public key, in hexadecimal, of the signature that was verified when it was imported.
        sequence: number of the event that put it there.
    """

    model_id: str
    codebook_id: str
    status: Status
    active: bool
    created: str
    actor: str
    provenance: Provenance
    file: dict[str, Any]
    signer: str | None
    sequence: int

    @property
    def parent(self) -> str | None:
        """Codebooks that these were fitted from."""
        return self.provenance.parent

    def as_json(self) -> dict[str, Any]:
        """Everything, flat."""
        own = {name: value for name, value in vars(self).items() if name != "provenance"}
        return {**own, **vars(self.provenance)}


@dataclass
class History:
    """What happened to one model.

    Attributes:
        revisions: the last event of each set of codebooks that says what it is.
        trail: codebooks in the order in which they became active; the last is active, rollback drops it.
        name: what people call the model.
    """

    revisions: dict[str, Event] = field(default_factory=dict[str, Event])
    trail: list[str] = field(default_factory=list[str])
    name: str = ""

    @property
    def active(self) -> str | None:
        """Codebooks that new files are encoded with."""
        return self.trail[-1] if self.trail else None

    def revision(self, codebook_id: str) -> Revision:
        """What is known about one revision."""
        event = self.revisions[codebook_id]
        details = event.details
        status: Status = "refused" if details.get("refused") else _STATUS[event.kind]
        return Revision(
            model_id=event.model_id,
            codebook_id=codebook_id,
            status=status,
            active=codebook_id == self.active,
            created=event.time,
            actor=event.actor,
            provenance=read_provenance(details.get("provenance", {})),
            file=_mapping(details, "file"),
            signer=None if details.get("signer") is None else str(details["signer"]),
            sequence=event.sequence,
        )


def histories(events: Iterable[Event]) -> dict[str, History]:
    """The history of every model, by model_id, from the events of the log.

    Raises:
        RegistryError: an event contradicts earlier ones, or lacks a field.
    """
    by_model: dict[str, History] = {}
    for event in events:
        provenance = read_provenance(_mapping(event.details, "provenance"))
        _mapping(event.details, "file")
        history = by_model.setdefault(event.model_id, History())
        known, trail = history.revisions.get(event.codebook_id), history.trail
        # Codebooks that are in use already do not become refused ones.
        if event.kind in _STATUS and not (event.kind == "refuse" and known and known.kind != "refuse"):
            history.revisions[event.codebook_id] = event
            history.name = history.name or provenance.model
        starts = event.kind == "baseline" and not trail
        if event.kind in ("activate", "rollback") and event.codebook_id not in history.revisions:
            raise RegistryError(
                f"event {event.sequence} of the log activates codebooks that are not in it; restore the"
                " log from a copy"
            )
        if starts or (event.kind == "activate" and event.codebook_id != history.active):
            trail.append(event.codebook_id)
        elif event.kind == "rollback" and len(trail) > 1:
            trail.pop()
    return by_model


def _mapping(details: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = details.get(name, {})
    if not isinstance(value, dict):
        raise RegistryError(
            f"{name} of an event is {value!r:.80}, not a mapping; restore the log from a copy"
        )
    return cast("dict[str, Any]", value)


def read_provenance(raw: Any) -> Provenance:
    """Provenance from JSON in a log or a file; unknown fields are ignored.

    Raises:
        RegistryError: a field has a wrong type.
    """
    if not isinstance(raw, dict):
        raise RegistryError("provenance is not a mapping")
    fields = cast("dict[str, Any]", raw)
    texts = {n: fields.get(n) for n in ("parent", "fingerprint", "environment")}
    tables = {n: fields.get(n) for n in ("statistics", "verdict")}
    if not all(value is None or isinstance(value, str) for value in texts.values()):
        raise RegistryError("provenance: parent, fingerprint and environment must be strings")
    if not all(value is None or isinstance(value, dict) for value in tables.values()):
        raise RegistryError("provenance: statistics and verdict must be mappings")
    return Provenance(
        **texts, **tables, reason=str(fields.get("reason", "")), model=str(fields.get("model", ""))
    )
