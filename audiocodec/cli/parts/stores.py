"""Stores of codebook revisions, as commands name them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec import pretrained

if TYPE_CHECKING:
    from audiocodec.adaptation.drift import Baseline
    from audiocodec.adaptation.registry import Registry
    from audiocodec.adaptation.watch import EnvironmentBook
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


def environment_book(codec: Codec, known: Baseline, store: Path | None) -> EnvironmentBook:
    """What was compared with, and the environments of a store.

    Raises:
        InputError: a file of an environment is damaged.
    """
    from audiocodec.adaptation.registry.registry import ENVIRONMENTS_NAME
    from audiocodec.adaptation.watch import EnvironmentBook

    book = EnvironmentBook(codec.model_id, None if store is None else store / ENVIRONMENTS_NAME)
    return book if known.name in book else EnvironmentBook(codec.model_id, book.folder, [known])


def find_named_baseline(name: str | None, codec: Codec, model: str | None, store: Path | None) -> Baseline:
    """A baseline by file, environment or codebooks; None: that of the codebooks in use, else the model's.

    Raises:
        InputError: there is none; lists the environments there are.
    """
    from audiocodec.adaptation.drift import find_baseline, load_baseline
    from audiocodec.adaptation.registry.registry import ENVIRONMENTS_NAME
    from audiocodec.adaptation.watch import EnvironmentBook

    if name is not None and Path(name).is_file():
        return load_baseline(name)
    book = EnvironmentBook(codec.model_id, None if store is None else store / ENVIRONMENTS_NAME)
    wanted = codec.codebook_id if name is None else name
    for environment in book.environments:
        if environment.name == wanted or (len(wanted) >= 4 and environment.codebook_id.startswith(wanted)):
            return environment.baseline
    return find_baseline(model) if name is None else book.get(name).baseline


def has_codebook(header: Header, registry: Registry | None) -> bool:
    """Whether what a file was made with is at hand, with an installed model or in a store."""
    if any(entry.codebook_id.startswith(header.codebook_id) for entry in pretrained.models().values()):
        return True
    return registry is not None and registry.files.find(header.codebook_id) is not None
