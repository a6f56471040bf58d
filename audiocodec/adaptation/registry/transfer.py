"""Revisions from one store to another: what the receiver of compressed files needs to decode them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.adaptation.registry.bundle import Bundle, BundleEntry, pack_bundle, read_bundle
from audiocodec.adaptation.registry.catalogue import TRUST_NAME
from audiocodec.adaptation.registry.revision import Revision
from audiocodec.adaptation.registry.revision_file import pack, read_facts, sha256
from audiocodec.adaptation.registry.shelf import ID_DIGITS, Shelf
from audiocodec.adaptation.registry.signatures import check, public_bytes, read_private_key, read_public_key
from audiocodec.errors import InputError, RegistryError
from audiocodec.storage import new_file

if TYPE_CHECKING:
    from audiocodec.adaptation.registry.store import Registry


def export_revision(
    registry: Registry,
    codebook_id: str,
    path: str | os.PathLike[str],
    *,
    full: bool = False,
    since: str | None = None,
    sign: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Revision:
    """See `Registry.export`."""
    key = None if sign is None else read_private_key(sign)
    revision = registry.revision(codebook_id)
    chosen = _whole(registry, revision) if full else _chain(registry, revision, since)
    history = registry.history(revision.model_id)
    data = pack_bundle(history.name, chosen, key)
    details = {
        "bytes": len(data),
        "sha256": sha256(data),
        "full": full,
        "revisions": [part.codebook_id for part, _ in chosen],
        "signer": None if key is None else public_bytes(key.public_key()).hex(),
    }
    with registry.locked():
        with new_file(path, overwrite) as temporary:
            temporary.write_bytes(data)
        registry.log_event("export", revision.model_id, revision.codebook_id, details)
    return revision


def import_bundle(
    registry: Registry, path: str | os.PathLike[str], trust: Sequence[str | os.PathLike[str]]
) -> list[Revision]:
    """See `Registry.import_`."""
    bundle = read_bundle(path)
    trusted = [*map(read_public_key, trust), *trusted_keys(registry.path)]
    try:
        if trusted:
            check(bundle.message, bundle.signature, bundle.signer, trusted)
        with registry.locked():
            return _take_in(registry, bundle, bundle.signer if trusted else None)
    except RegistryError as error:
        raise RegistryError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def trusted_keys(store: Path) -> list[bytes]:
    """Public keys that a store trusts whatever is said on the command line.

    All that lies in its folder is one, whatever its name: to pass over a key would be to trust everybody.

    Raises:
        RegistryError: the folder, or anything in it, cannot be read as a key.
        MissingPackageError: there are keys, and the package cryptography is not installed.
    """
    folder = store / TRUST_NAME
    try:
        files = sorted(folder.iterdir()) if os.path.lexists(folder) else []
    except OSError as error:
        raise RegistryError(
            f"{folder}: cannot be read ({error.strerror}); make it a folder of keys"
        ) from error
    try:
        return [read_public_key(file) for file in files]
    except InputError as error:
        raise RegistryError(
            f"{error}; mend that file or move it out of {folder}: until then nothing is imported"
        ) from error


def _chain(registry: Registry, revision: Revision, since: str | None) -> list[tuple[Revision, bytes]]:
    """The files a revision needs, less those the receiver has: the model's own, and up to `since`."""
    files = registry.shelf.chain(revision.model_id, revision.codebook_id)
    history = registry.history(revision.model_id)
    chosen = [(history.revision(facts.codebook_id), data) for facts, data in files]
    if since is not None:
        known = registry.revision(since, revision.model_id).codebook_id
        places = [number for number, (part, _) in enumerate(chosen[:-1]) if part.codebook_id == known]
        if not places:
            raise RegistryError(
                f"codebook {revision.codebook_id[:ID_DIGITS]} is not stored as changes to"
                f" {known[:ID_DIGITS]}; leave out --since"
            )
        return chosen[places[0] + 1 :]
    return chosen[1:] if len(chosen) > 1 and chosen[0][0].status == "baseline" else chosen


def _whole(registry: Registry, revision: Revision) -> list[tuple[Revision, bytes]]:
    codebooks = registry.shelf.load(revision.model_id, revision.codebook_id).codebooks
    return [(revision, pack(revision.model_id, codebooks, None)[0])]


def _take_in(registry: Registry, bundle: Bundle, signer: bytes | None) -> list[Revision]:
    """Check everything, then write."""
    histories = registry.histories()
    if histories and bundle.model_id not in histories:
        names = ", ".join(f"{h.name or 'unnamed'} ({m[:ID_DIGITS]})" for m, h in histories.items())
        raise RegistryError(
            f"made for model {bundle.model or 'unnamed'} ({bundle.model_id[:ID_DIGITS]}); the store"
            f" {registry.path} is for {names}; use a store of its own, or take the model in first (--model)"
        )
    shelf = registry.shelf.with_pending({entry.codebook_id: entry.data for entry in bundle.entries})
    for entry in bundle.entries:
        _check_base(shelf, bundle.model_id, entry)
        shelf.load(bundle.model_id, entry.codebook_id)
    known = registry.history(bundle.model_id).revisions
    for entry in bundle.entries:
        if entry.codebook_id in known and registry.shelf.is_sound(bundle.model_id, entry.codebook_id):
            continue
        registry.add_file(read_facts(entry.data), entry.data)
        details = {
            "provenance": entry.provenance.as_json(),
            "file": registry.shelf.describe(bundle.model_id, entry.codebook_id),
            "refused": entry.refused,
            "origin": {"created": entry.created, "actor": entry.actor},
            "signer": None if signer is None else signer.hex(),
        }
        registry.log_event("import", bundle.model_id, entry.codebook_id, details)
    history = registry.history(bundle.model_id)
    return [history.revision(entry.codebook_id) for entry in bundle.entries]


def _check_base(shelf: Shelf, model_id: str, entry: BundleEntry) -> None:
    base = read_facts(entry.data).base
    if base is not None and base not in shelf.pending and not shelf.path(model_id, base).exists():
        raise RegistryError(
            f"it changes codebook {base[:ID_DIGITS]}, which is neither in the file nor in the store; import"
            " that one first, or have it exported with --full; the model's own codebooks come by --model"
        )
