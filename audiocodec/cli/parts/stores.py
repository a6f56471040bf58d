"""Stores of codebook revisions, as commands name them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec import pretrained

if TYPE_CHECKING:
    from audiocodec.adaptation.registry import Registry
    from audiocodec.bitstream import Header
    from audiocodec.codec import Codec


def open_store(folder: Path, *, new: bool = False) -> Registry:
    """As `open_registry`, which is imported when a store is named: it takes time."""
    from audiocodec.adaptation.registry import open_registry

    return open_registry(folder, new=new)


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
    return registry is not None and registry.files.find(header.codebook_id) is not None
