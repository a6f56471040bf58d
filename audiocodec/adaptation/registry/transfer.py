"""Revisions from one store to another: what the receiver of compressed files needs to decode them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from audiocodec import pretrained
from audiocodec.adaptation.registry.bundle import (
    Bundle,
    BundleEntry,
    check_signature,
    pack_bundle,
    public_bytes,
    read_bundle,
    read_private_key,
    read_public_key,
)
from audiocodec.adaptation.registry.registry import TRUST_NAME, Registry
from audiocodec.adaptation.registry.revision import Revision
from audiocodec.adaptation.registry.revision_files import RevisionFolder, pack, read_facts, sha256
from audiocodec.codec import load
from audiocodec.errors import InputError, RegistryError
from audiocodec.revisions import ID_DIGITS
from audiocodec.storage import new_file


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
    """Write a `.nacbook` file from which another store can take a revision.

    It holds the changes to the model's own codebooks, which the receiver has; with `since`, to a revision
    the receiver got before; or with `full` the codebooks whole. `sign` is a file with a private key.

    Raises:
        RegistryError: the revision is missing or damaged.
        InputError: the file exists already or cannot be written, or the key cannot be used.
    """
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
    registry: Registry, path: str | os.PathLike[str], *, trust: Sequence[str | os.PathLike[str]] = ()
) -> list[Revision]:
    """Add the revisions of a `.nacbook` file; the exported one is last in the result. None becomes active.

    If there are public keys in `trust`, or in the folder `trust` of the store, one of them must have signed
    the file. Files hold changes to the model's own codebooks: add those first with `Registry.baseline`.

    Raises:
        RegistryError: the file is damaged, not trusted, for another model than the store, or needs
            codebooks that the store does not have. Nothing is added then.
    """
    bundle = read_bundle(path)
    trusted = [*map(read_public_key, trust), *trusted_keys(registry.path)]
    try:
        if trusted:
            check_signature(bundle.message, bundle.signature, bundle.signer, trusted)
        with registry.locked():
            return _add(registry, bundle, bundle.signer if trusted else None)
    except RegistryError as error:
        raise RegistryError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def add_model_of(registry: Registry, path: str | os.PathLike[str], model: str | None = None) -> None:
    """Add the own codebooks of the model that a `.nacbook` file is for.

    They are taken from `model` (a name or path), or else from an installed model. Nothing is added if that is
    not the model of the file, if the store has that model, or if it has another one and `model` is None.

    Raises:
        RegistryError: the file is damaged, or `model` does not exist.
    """
    bundle, known = read_bundle(path), registry.histories()
    if bundle.model_id in known or (known and model is None):
        return
    name = model or pretrained.find_by_id(bundle.model_id)
    codec = None if name is None else load(name, "cpu")
    if codec is not None and codec.model_id == bundle.model_id:
        registry.baseline(codec.model_id, codec.model.quantizer.codebooks(), model=codec.name)


def trusted_keys(store: Path) -> list[bytes]:
    """Public keys in the folder `trust` of a store, which are trusted in addition to those given.

    Every file in it must be a key, whatever its name: if one were ignored, everybody might be trusted.

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
    """The files a revision needs, without those the receiver has: the model's own, and all up to `since`."""
    files = registry.files.chain(revision.model_id, revision.codebook_id)
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
    codebooks = registry.files.load(revision.model_id, revision.codebook_id).codebooks
    return [(revision, pack(revision.model_id, codebooks, None)[0])]


def _add(registry: Registry, bundle: Bundle, signer: bytes | None) -> list[Revision]:
    """Check everything, then write."""
    histories = registry.histories()
    if histories and bundle.model_id not in histories:
        names = ", ".join(f"{h.name or 'unnamed'} ({m[:ID_DIGITS]})" for m, h in histories.items())
        raise RegistryError(
            f"made for model {bundle.model or 'unnamed'} ({bundle.model_id[:ID_DIGITS]}); the store"
            f" {registry.path} is for {names}; use a store of its own, or add the model first (--model)"
        )
    files = registry.files.with_pending({entry.codebook_id: entry.data for entry in bundle.entries})
    for entry in bundle.entries:
        _check_base(files, bundle.model_id, entry)
        files.load(bundle.model_id, entry.codebook_id)
    known = registry.history(bundle.model_id).revisions
    for entry in bundle.entries:
        if entry.codebook_id in known and registry.files.is_sound(bundle.model_id, entry.codebook_id):
            continue
        registry.add_file(read_facts(entry.data), entry.data)
        details = {
            "provenance": entry.provenance.as_json(),
            "file": registry.files.describe(bundle.model_id, entry.codebook_id),
            "refused": entry.refused,
            "origin": {"created": entry.created, "actor": entry.actor},
            "signer": None if signer is None else signer.hex(),
        }
        registry.log_event("import", bundle.model_id, entry.codebook_id, details)
    history = registry.history(bundle.model_id)
    return [history.revision(entry.codebook_id) for entry in bundle.entries]


def _check_base(files: RevisionFolder, model_id: str, entry: BundleEntry) -> None:
    base = read_facts(entry.data).base
    if base is not None and base not in files.pending and not files.path(model_id, base).exists():
        raise RegistryError(
            f"it changes codebook {base[:ID_DIGITS]}, which is neither in the file nor in the store; import"
            " that one first, or ask for an export with --full; --model adds the model's own codebooks"
        )
