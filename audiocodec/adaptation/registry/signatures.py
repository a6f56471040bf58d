"""Ed25519 signatures (RFC 8032) over files of codebooks, with keys as OpenSSL writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from audiocodec.errors import InputError, RegistryError, require
from audiocodec.outside import read_bytes

if TYPE_CHECKING:
    import os

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES = 32
SIGNATURE_BYTES = 64
MAX_PEM_BYTES = 1 << 16


def read_private_key(path: str | os.PathLike[str]) -> Ed25519PrivateKey:
    """A private key from an unencrypted PEM file.

    Raises:
        InputError: there is none in the file.
        MissingPackageError: the package cryptography is not installed.
    """
    ed25519, serialization = _cryptography()
    data = _read(path)
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
        InputError: there is none in the file.
        MissingPackageError: the package cryptography is not installed.
    """
    ed25519, serialization = _cryptography()
    data = _read(path)
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


def check(message: bytes, signature: bytes, signer: bytes | None, trusted: Iterable[bytes]) -> None:
    """Refuse a message that none of the `trusted` public keys has signed.

    Raises:
        RegistryError: it is not signed, by somebody else, or was changed.
        MissingPackageError: the package cryptography is not installed.
    """
    known = sorted(key.hex() for key in trusted)
    if signer is None:
        raise RegistryError(f"not signed, and only what is signed by {', '.join(known)} is trusted")
    if signer.hex() not in known:
        raise RegistryError(f"signed by {signer.hex()}; trusted are {', '.join(known)}")
    ed25519, _ = _cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(signer).verify(signature, message)
    except InvalidSignature as error:
        raise RegistryError("its signature is wrong: it was changed after signing") from error


def _read(path: str | os.PathLike[str]) -> bytes:
    return read_bytes(path, MAX_PEM_BYTES)


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
