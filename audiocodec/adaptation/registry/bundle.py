"""A `.nacbook` file: revisions for another store, byte by byte in docs/reference/store.md, signed if wanted.

Signatures are Ed25519 (RFC 8032), with keys as OpenSSL writes them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from audiocodec.adaptation.registry.audit import IDENTITY, MAX_LINE_BYTES
from audiocodec.adaptation.registry.revision import Provenance, Revision, read_provenance
from audiocodec.adaptation.registry.revision_files import MAX_DEPTH, MAX_FILE_BYTES, read_facts
from audiocodec.errors import InputError, RegistryError, require
from audiocodec.outside import MALFORMED, parse_json, parse_time, read_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAGIC = b"NACB"
BUNDLE_VERSION = 1
MAX_HEADER_BYTES = 8 << 20
MAX_BUNDLE_BYTES = MAX_HEADER_BYTES + MAX_FILE_BYTES
MAX_ORIGIN_BYTES = MAX_LINE_BYTES // 2
"""Largest provenance of an entry, so that the event of its import fits in a line of the log."""
KEY_BYTES = 32
SIGNATURE_BYTES = 64
MAX_PEM_BYTES = 1 << 16
_DIGEST_BYTES = 32
_START_BYTES = len(MAGIC) + 1 + 4
_CONTEXT = b"audiocodec codebooks 1\n"


@dataclass(frozen=True)
class BundleEntry:
    """One revision in a bundle.

    Attributes:
        created: when it was added to the store that exported it, ISO 8601.
        actor: who added it there.
        refused: whether it was refused there.
        data: content of its file.
    """

    codebook_id: str
    created: str
    actor: str
    refused: bool
    provenance: Provenance
    data: bytes


@dataclass(frozen=True)
class Bundle:
    """Content of a `.nacbook` file.

    Attributes:
        model_id: identity of the model.
        model: name of the model, for people.
        entries: revisions, each after the one it is based on; the last is the one that was exported.
        message: the bytes that were signed.
        signer: public key of the signer; None if the file is not signed.
        signature: signature of `message`.
    """

    model_id: str
    model: str
    entries: tuple[BundleEntry, ...]
    message: bytes
    signer: bytes | None
    signature: bytes

    @property
    def codebook_id(self) -> str:
        """Identity of the codebooks that were exported."""
        return self.entries[-1].codebook_id


def pack_bundle(
    model: str, revisions: Sequence[tuple[Revision, bytes]], key: Ed25519PrivateKey | None
) -> bytes:
    """The bytes of a bundle of revisions and their files, signed with `key` if there is one."""
    entries = [
        {
            "codebook_id": revision.codebook_id,
            "created": revision.created,
            "actor": revision.actor,
            "refused": revision.status == "refused",
            "provenance": revision.provenance.as_json(),
            "bytes": len(data),
        }
        for revision, data in revisions
    ]
    signer = None if key is None else public_bytes(key.public_key()).hex()
    document = {
        "model_id": revisions[0][0].model_id,
        "model": model,
        "signer": signer,
        "revisions": entries,
    }
    header = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    start = MAGIC + bytes([BUNDLE_VERSION]) + len(header).to_bytes(4, "little")
    body = b"".join([start, header, *(data for _, data in revisions)])
    if len(body) > MAX_BUNDLE_BYTES:
        raise RegistryError(f"{len(body)} bytes are too many for one file; export with --full, or --since")
    digest = hashlib.sha256(body).digest()
    return body + digest + (b"" if key is None else key.sign(_CONTEXT + digest))


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a bundle, except for the codebooks in it.

    Raises:
        RegistryError: the file cannot be read, is not a bundle, or was changed.
    """
    data = read_bytes(path, MAX_BUNDLE_BYTES + _DIGEST_BYTES + SIGNATURE_BYTES, RegistryError)
    try:
        return _unpack(data)
    except RegistryError as error:
        raise RegistryError(f"{path}: {error}; get a whole copy") from error


def read_private_key(path: str | os.PathLike[str]) -> Ed25519PrivateKey:
    """A private key from an unencrypted PEM file.

    Raises:
        InputError: the file holds no such key.
        MissingPackageError: the package cryptography is not installed.
    """
    ed25519, serialization = _cryptography()
    data = read_bytes(path, MAX_PEM_BYTES)
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except Exception as error:  # the package raises many kinds, some of them its own
        raise _no_key(path, "private") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise _no_key(path, "private")
    return key


def read_public_key(path: str | os.PathLike[str]) -> bytes:
    """The 32 bytes of a public key from a PEM file.

    Raises:
        InputError: the file holds no such key.
        MissingPackageError: the package cryptography is not installed.
    """
    ed25519, serialization = _cryptography()
    data = read_bytes(path, MAX_PEM_BYTES)
    try:
        key = serialization.load_pem_public_key(data)
    except Exception as error:
        raise _no_key(path, "public") from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise _no_key(path, "public")
    return public_bytes(key)


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes_raw()


def check_signature(message: bytes, signature: bytes, signer: bytes | None, trusted: Iterable[bytes]) -> None:
    """Refuse a message that none of the `trusted` public keys has signed.

    Raises:
        RegistryError: it is not signed, signed by somebody else, or was changed.
        MissingPackageError: the package cryptography is not installed.
    """
    known = sorted(key.hex() for key in trusted)
    if signer is None:
        raise RegistryError(
            f"not signed, but only files signed with the key {' or '.join(known)} are trusted; let the sender"
            " export it with --sign"
        )
    if signer.hex() not in known:
        raise RegistryError(
            f"signed with the key {signer.hex()}, but only {' or '.join(known)} is trusted; if you trust that"
            " key too, give it with --trust or put it into the folder `trust` of the store"
        )
    ed25519, _ = _cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(signer).verify(signature, message)
    except InvalidSignature as error:
        raise RegistryError("its signature is wrong: it was changed after signing") from error


def _unpack(data: bytes) -> Bundle:
    header, position = _header(data)
    try:
        signer = None if header["signer"] is None else bytes.fromhex(header["signer"])
        sizes = [int(entry["bytes"]) for entry in header["revisions"]]
        end = position + sum(sizes)
        wanted = end + _DIGEST_BYTES + (SIGNATURE_BYTES if signer else 0)
        if min(sizes) < 0 or len(data) != wanted or len(signer or bytes(KEY_BYTES)) != KEY_BYTES:
            raise RegistryError(f"{len(data)} bytes instead of {wanted}: it was cut off or changed")
        digest = hashlib.sha256(data[:end]).digest()
        if data[end : end + _DIGEST_BYTES] != digest:
            raise RegistryError("its checksum is wrong: it was changed")
        entries: list[BundleEntry] = []
        for raw, size in zip(header["revisions"], sizes, strict=True):
            entries.append(_entry(raw, data[position : position + size], str(header["model_id"])))
            position += size
        return Bundle(
            model_id=str(header["model_id"]),
            model=str(header["model"]),
            entries=tuple(entries),
            message=_CONTEXT + digest,
            signer=signer,
            signature=data[end + _DIGEST_BYTES :],
        )
    except RegistryError:
        raise
    except MALFORMED as error:
        raise RegistryError("not a file of codebooks: it does not describe itself") from error


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header and the place after it."""
    if not data.startswith(MAGIC) or len(data) < _START_BYTES:
        raise RegistryError("not a file of codebooks (.nacbook)")
    if data[len(MAGIC)] != BUNDLE_VERSION:
        raise RegistryError(
            f"version {data[len(MAGIC)]}, this package reads {BUNDLE_VERSION}: update it if that is newer"
        )
    size = int.from_bytes(data[_START_BYTES - 4 : _START_BYTES], "little")
    if size > MAX_HEADER_BYTES or _START_BYTES + size > len(data):
        raise RegistryError("it was cut off or changed")
    try:
        header = parse_json(data[_START_BYTES : _START_BYTES + size])
    except MALFORMED as error:
        raise RegistryError(f"its header was changed ({error})") from error
    if not isinstance(header, dict):
        raise RegistryError("its header was changed")
    fields = cast("dict[str, Any]", header)
    revisions = fields.get("revisions")
    if not isinstance(revisions, list) or not 1 <= len(cast("list[Any]", revisions)) <= MAX_DEPTH + 1:
        raise RegistryError(f"it must hold 1 to {MAX_DEPTH + 1} revisions")
    return fields, _START_BYTES + size


def _entry(raw: dict[str, Any], data: bytes, model_id: str) -> BundleEntry:
    codebook_id = str(raw["codebook_id"])
    facts = read_facts(data)
    if not IDENTITY.fullmatch(codebook_id) or (facts.codebook_id, facts.model_id) != (codebook_id, model_id):
        raise RegistryError(f"the data for codebook {codebook_id[:64]} is of another model or codebook")
    provenance, created, actor = read_provenance(raw["provenance"]), str(raw["created"]), str(raw["actor"])
    parse_time(created)
    if len(json.dumps([provenance.as_json(), actor])) > MAX_ORIGIN_BYTES:
        raise RegistryError(f"its details of codebook {codebook_id[:32]} are too long for the log of a store")
    return BundleEntry(codebook_id, created, actor, raw["refused"] is True, provenance, data)


def _no_key(path: str | os.PathLike[str], kind: str) -> InputError:
    return InputError(
        f"{path}: no unencrypted Ed25519 {kind} key in PEM; make a pair by"
        " `openssl genpkey -algorithm ed25519 -out key.pem` and"
        " `openssl pkey -in key.pem -pubout -out public.pem`"
    )


def _cryptography() -> tuple[Any, Any]:
    require("cryptography.hazmat.primitives", "a signature", "'audiocodec[adapt]'")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519, serialization
