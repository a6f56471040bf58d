"""`audiocodec codebooks`: the revisions in a store, and what happened to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiocodec.cli.parts import options
from audiocodec.cli.parts.codecs import open_store
from audiocodec.cli.parts.output import Output, tell
from audiocodec.cli.refresh import SCORE_COLUMNS, score_rows

if TYPE_CHECKING:
    from audiocodec.adaptation.registry import Registry, Revision

SHOWN_DIGITS = 12
FACT_WIDTH = 13
"""Of the names that `show` prints."""

Store = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        envvar="AUDIOCODEC_STORE",
        help="Folder that holds revisions of codebooks (a store).",
    ),
]
CodebookId = Annotated[
    str, typer.Argument(metavar="ID", help="Identity of the codebooks; the first digits are enough.")
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Reason, written to the log.")]
Head = Annotated[
    str | None, typer.Option(metavar="HASH", help="Hash of an event; verify fails if the log lacks it.")
]
Full = Annotated[
    bool, typer.Option("--full", help="Write whole codebooks, not only the changes to the model's own.")
]
Since = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Write only the changes since this revision, which the receiver has."),
]
Sign = Annotated[Path | None, typer.Option(metavar="KEY.pem", help="Sign with this Ed25519 private key.")]
Trust = Annotated[
    list[Path] | None,
    typer.Option(metavar="PUBLIC.pem", help="Accept only files signed with this key; can be repeated."),
]
Activate = Annotated[bool, typer.Option("--activate", help="Encode new files with the imported codebooks.")]
ForceActivate = Annotated[
    bool, typer.Option("--force", help="Activate even if the acceptance test refused it.")
]
OutFile = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE",
        help="File to write; default: ID.nacbook, with the first digits of the identity.",
    ),
]


def list_(store: Store, json: options.Json = False, quiet: options.Quiet = False) -> None:
    """List all revisions, oldest first; * marks what new files are encoded with.

    Example: audiocodec codebooks list --store books
    """
    output, registry = Output(json, quiet), open_store(store)
    revisions = registry.revisions()
    names = {model_id: history.name for model_id, history in registry.histories().items()}
    for revision in revisions:
        output.result({**revision.as_json(), "model": names[revision.model_id]})
    columns = ("", "codebook", "model", "status", "parent", "created", "bytes", "environment", "reason")
    output.table(columns, [_row(revision, names[revision.model_id]) for revision in revisions])
    if not revisions:
        output.say(f"{store}: no revisions yet")


def show(
    store: Store, codebook_id: CodebookId, json: options.Json = False, quiet: options.Quiet = False
) -> None:
    """Show what one revision is, where it comes from, and how it was judged; --json prints every detail.

    Example: audiocodec codebooks show 3f2a --store books
    """
    output, registry = Output(json, quiet), open_store(store)
    revision = registry.revision(codebook_id)
    output.result(revision.as_json())
    names = {model_id: history.name for model_id, history in registry.histories().items()}
    for name, value in _facts(revision, names[revision.model_id]):
        output.say(f"{name:<{FACT_WIDTH}}{value}")
    verdict = revision.provenance.verdict or {}
    scores = score_rows(verdict)
    if scores:
        output.say("")
        output.table(SCORE_COLUMNS, scores)
    if isinstance(verdict.get("reason"), str):
        output.say(f"{'accepted' if verdict.get('accepted') is True else 'refused'}: {verdict['reason']}")


def activate(
    store: Store,
    codebook_id: CodebookId,
    reason: Reason = "",
    force: ForceActivate = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Encode new files with these codebooks from now on.

    Example: audiocodec codebooks activate 3f2a --store books --reason "new hall"
    """
    _say_active(Output(json, quiet), open_store(store).activate(codebook_id, reason=reason, force=force))


def rollback(
    store: Store,
    model: options.Model = None,
    reason: Reason = "",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Activate the codebooks that were active before.

    Example: audiocodec codebooks rollback --store books --reason "complaints"
    """
    registry = open_store(store)
    _say_active(Output(json, quiet), registry.rollback(_model_in(registry, model), reason=reason))


def log(store: Store, json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Show who did what, when and why.

    Example: audiocodec codebooks log --store books
    """
    output = Output(json, quiet)
    events = open_store(store).log()
    rows: list[tuple[Any, ...]] = []
    for event in events:
        output.result(event.as_json())
        provenance = event.details.get("provenance", {})
        reason = event.details.get("reason") or provenance.get("reason") or ""
        notes = "; ".join(event.notes)
        codebook = event.codebook_id[:SHOWN_DIGITS]
        rows.append((event.sequence, event.time, event.actor, event.kind, codebook, reason, notes))
    output.table(("", "time", "who", "event", "codebook", "reason", "notes"), rows)


def verify(store: Store, head: Head = None, json: options.Json = False, quiet: options.Quiet = False) -> None:
    """Check the whole store: the chain of the log, and every revision against its name and the log.

    The exit status is 1 when something is lost or was changed. The last line shows the hash of the newest
    event. Keep it elsewhere: given as --head later, it shows whether the end of the log was cut off.

    Example: audiocodec codebooks verify --store books
    """
    output, registry = Output(json, quiet), open_store(store)
    findings = registry.verify(head)
    for finding in findings:
        where = str(finding.where)
        output.result({"level": finding.level, "file": where, "problem": finding.problem})
        tell(f"{finding.level}: {where}: {finding.problem}")
    errors = sum(finding.level == "error" for finding in findings)
    if not errors:
        events = registry.log()
        newest = events[-1].hash if events else None
        count = len(registry.revisions())
        output.result(
            {"summary": True, "sound": True, "revisions": count, "events": len(events), "head": newest},
            f"{store}: {count} revisions and {len(events)} events are sound; newest event {newest}",
        )
    else:
        output.result({"summary": True, "sound": False, "errors": errors})
        raise typer.Exit(1)


def export(
    store: Store,
    codebook_id: CodebookId,
    out: OutFile = None,
    full: Full = False,
    since: Since = None,
    sign: Sign = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a revision to a .nacbook file, which others need to decode files encoded with it.

    Make a key pair with `openssl genpkey -algorithm ed25519 -out key.pem` and
    `openssl pkey -in key.pem -pubout -out public.pem`.

    Example: audiocodec codebooks export 3f2a --store books -o hall.nacbook
    """
    registry = open_store(store)
    target = out or Path(f"{registry.revision(codebook_id).codebook_id[:SHOWN_DIGITS]}.nacbook")
    from audiocodec.adaptation.registry import export_revision

    revision = export_revision(
        registry, codebook_id, target, full=full, since=since, sign=sign, overwrite=force
    )
    record = {
        "file": str(target),
        "bytes": target.stat().st_size,
        "model_id": revision.model_id,
        "codebook_id": revision.codebook_id,
        "full": full,
        "signed": sign is not None,
    }
    line = f"{target}: {record['bytes']} bytes, codebook {revision.codebook_id[:SHOWN_DIGITS]}"
    Output(json, quiet).result(record, line)


def import_(
    store: Store,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Files that `export` wrote.")],
    model: options.Model = None,
    trust: Trust = None,
    activate: Activate = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Add the revisions in .nacbook files to a store, after checking every byte.

    Their model must be installed, or named with --model. With --trust, or with public keys in the folder
    `trust` of the store, files must be signed with one of these keys.

    Example: audiocodec codebooks import hall.nacbook --store books
    """
    from audiocodec.adaptation.registry import add_model_of, import_bundle

    output, registry = Output(json, quiet), open_store(store, new=True)
    for file in files:
        add_model_of(registry, file, model)
        revision = import_bundle(registry, file, trust=trust or ())[-1]
        if activate:
            revision = registry.activate(revision.codebook_id, reason=f"import of {file.name}")
        state = ", now active" if revision.active else ""
        line = f"{file}: codebook {revision.codebook_id[:SHOWN_DIGITS]} of {revision.created}{state}"
        output.result({"file": str(file), **revision.as_json()}, line)


def _model_in(registry: Registry, model: str | None) -> str:
    """Identity of the model that is meant: the one named, or the only one in the store."""
    from audiocodec.cli.parts.codecs import codec_for
    from audiocodec.errors import RegistryError

    if model is not None:
        return codec_for(model, "cpu").model_id
    known = registry.histories()
    if len(known) != 1:
        names = ", ".join(sorted(history.name for history in known.values())) or "none"
        raise RegistryError(f"{registry.path}: holds {len(known)} models ({names}); name one with --model")
    return next(iter(known))


def _say_active(output: Output, revision: Revision) -> None:
    line = f"active: codebook {revision.codebook_id[:SHOWN_DIGITS]}, {revision.status}"
    output.result(revision.as_json(), f"{line}, {revision.created}")


def _row(revision: Revision, model: str) -> tuple[Any, ...]:
    origin = revision.provenance
    return (
        "*" if revision.active else "",
        revision.codebook_id[:SHOWN_DIGITS],
        model or revision.model_id[:SHOWN_DIGITS],
        revision.status,
        (origin.parent or "-")[:SHOWN_DIGITS],
        revision.created[:19].replace("T", " "),
        revision.file.get("bytes"),
        origin.environment or "-",
        origin.reason,
    )


def _facts(revision: Revision, model: str) -> list[tuple[str, Any]]:
    """What a person asks first of a revision; what is not known is left out."""
    origin, file = revision.provenance, revision.file
    facts = {
        "codebook": revision.codebook_id,
        "model": model or revision.model_id,
        "status": revision.status + (", active" if revision.active else ""),
        "parent": origin.parent,
        "created": f"{revision.created[:19].replace('T', ' ')} by {revision.actor}",
        "reason": origin.reason if origin.reason != (origin.verdict or {}).get("reason") else None,
        "environment": origin.environment,
        "changed": _changes(file.get("changed")),
        "bytes": file.get("bytes"),
        "signed by": revision.signer,
    }
    return [(name, value) for name, value in facts.items() if value not in (None, "")]


def _changes(counts: Any) -> str | None:
    """How much differs from the base: entries of codebooks, and numbers of the decoder (an adapter)."""
    from audiocodec.revisions import ADAPTER_PREFIX

    if not isinstance(counts, dict) or not all(isinstance(count, int) for count in counts.values()):
        return None
    entries = [count for name, count in counts.items() if not name.startswith(ADAPTER_PREFIX)]
    numbers = sum(count for name, count in counts.items() if name.startswith(ADAPTER_PREFIX))
    parts = [f"{sum(entries)} entries of {len(entries)} codebooks"] if entries else []
    parts += [f"{numbers} numbers of the decoder (adapter)"] if numbers else []
    return ", ".join(parts) or None


CODEBOOK_COMMANDS = {
    "list": list_,
    "show": show,
    "activate": activate,
    "rollback": rollback,
    "log": log,
    "verify": verify,
    "export": export,
    "import": import_,
}
"""By the name that is typed."""
