"""Stores of codebook revisions, as commands name them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec import pretrained
from audiocodec.errors import RegistryError

if TYPE_CHECKING:
    from audiocodec.adaptation.drift import Baseline
    from audiocodec.adaptation.registry import Registry
    from audiocodec.adaptation.watch import EnvironmentBook
    from audiocodec.bitstream import Header
    from audiocodec.codec import Codec


def open_store(folder: Path, *, new: bool = False) -> Registry:
    """The store in a folder, which must be there unless it may be `new`: then the folder is empty or missing.

    Raises:
        RegistryError: it is not there, is a file, or a folder of something else.
    """
    from audiocodec.adaptation.registry import Registry

    if folder.exists() and not folder.is_dir():
        raise RegistryError(f"{folder}: a file, not a store; name a folder with --store")
    if not is_store(folder):
        if not new:
            raise RegistryError(
                f"{folder}: no store there; name another with --store, or import into it first"
            )
        _check_free(folder)
    return Registry(folder)


def is_store(folder: Path) -> bool:
    """Whether a folder is a store: it has a log, or revisions whose log was lost."""
    from audiocodec.adaptation.registry.catalogue import LOG_NAME, REVISIONS_NAME

    return (folder / LOG_NAME).exists() or (folder / REVISIONS_NAME).exists()


def _check_free(folder: Path) -> None:
    """Look whether a store may begin in a folder.

    Raises:
        RegistryError: it holds what is no part of a store, or cannot be read.
    """
    from audiocodec.adaptation.registry.catalogue import PARTS
    from audiocodec.adaptation.watch.environments import FOLDER_NAME
    from audiocodec.adaptation.watch.log import LOG_NAME

    try:
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise RegistryError(f"{folder}: cannot be read ({error.strerror}); choose another --store") from error
    others = [name for name in names if name not in {*PARTS, FOLDER_NAME, LOG_NAME}]
    if others:
        raise RegistryError(
            f"{folder}: no store, and not empty ({others[0]}); name a store, or an empty folder for a new one"
        )


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
    from audiocodec.adaptation.watch import EnvironmentBook
    from audiocodec.adaptation.watch.environments import FOLDER_NAME

    book = EnvironmentBook(codec.model_id, None if store is None else store / FOLDER_NAME)
    return book if known.name in book else EnvironmentBook(codec.model_id, book.folder, [known])


def find_named_baseline(name: str | None, codec: Codec, model: str | None, store: Path | None) -> Baseline:
    """A baseline by file, environment or codebooks; None: that of the codebooks in use, else the model's.

    Raises:
        InputError: there is none; lists the environments there are.
    """
    from audiocodec.adaptation.drift import find_baseline, load_baseline
    from audiocodec.adaptation.watch import EnvironmentBook
    from audiocodec.adaptation.watch.environments import FOLDER_NAME

    if name is not None and Path(name).is_file():
        return load_baseline(name)
    book = EnvironmentBook(codec.model_id, None if store is None else store / FOLDER_NAME)
    wanted = codec.codebook_id if name is None else name
    for environment in book.environments:
        if environment.name == wanted or (len(wanted) >= 4 and environment.codebook_id.startswith(wanted)):
            return environment.baseline
    return find_baseline(model) if name is None else book.get(name).baseline


def has_codebook(header: Header, registry: Registry | None) -> bool:
    """Whether what a file was made with is at hand, with an installed model or in a store."""
    if any(entry.codebook_id.startswith(header.codebook_id) for entry in pretrained.models().values()):
        return True
    return registry is not None and registry.shelf.find(header.codebook_id) is not None
