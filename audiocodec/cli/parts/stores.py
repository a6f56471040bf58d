"""Stores of codebook revisions, as commands name them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec import pretrained
from audiocodec.errors import RegistryError

if TYPE_CHECKING:
    from audiocodec.adaptation.registry import Registry
    from audiocodec.bitstream import Header
    from audiocodec.codec import Codec


def open_store(folder: Path, *, new: bool = False) -> Registry:
    """The store in a folder, which must be there unless it may be `new`.

    Raises:
        RegistryError: it is not there, or is a file.
    """
    from audiocodec.adaptation.registry import Registry

    if folder.exists() and not folder.is_dir():
        raise RegistryError(f"{folder}: a file, not a store; name a folder with --store")
    if not new and not folder.is_dir():
        raise RegistryError(f"{folder}: no store there; name another with --store, or import into it first")
    return Registry(folder)


def chosen_codebook(codec: Codec, codebook: str | None, store: Path | None) -> str | None:
    """The codebooks to encode with: those that were named, else those active in the store; None: the model's.

    Decided once for all files of a command, so that an activation in between does not divide them.

    Raises:
        RegistryError: the log of the store is not sound.
    """
    if codebook is not None or store is None:
        return codebook
    active = open_store(store).active(codec.model_id)
    return None if active is None else active.codebook_id


def has_codebook(header: Header, registry: Registry | None) -> bool:
    """Whether what a file was made with is at hand, with an installed model or in a store."""
    if any(entry.codebook_id.startswith(header.codebook_id) for entry in pretrained.models().values()):
        return True
    return registry is not None and registry.shelf.find(header.codebook_id) is not None
