"""The codec that a command works with: models, codebooks and stores as options name them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec import pretrained
from audiocodec.errors import BitrateError
from audiocodec.process import compute_in_one_thread

if TYPE_CHECKING:
    from audiocodec.adaptation.registry import Registry
    from audiocodec.bitstream import Header
    from audiocodec.codec import Codec


def check_named(model: str | None = None, bitrate: float | None = None, store: Path | None = None) -> None:
    """Check that a model and a store exist, and that a bitrate is a positive number.

    Raises:
        RegistryError: there is no such model or store.
        BitrateError: the bitrate is no positive number.
    """
    if model is not None and not Path(model).exists() and model not in pretrained.models():
        pretrained.find(model)  # says what there is
    if bitrate is not None and not (math.isfinite(bitrate) and bitrate > 0):
        raise BitrateError(
            f"bitrate {bitrate:g} bit/s is not a positive number; choose one of the model's bitrates"
        )
    if store is not None:
        open_store(store)


def open_store(folder: Path, *, new: bool = False) -> Registry:
    """As `open_registry`, which is imported when a store is named: it takes time."""
    from audiocodec.adaptation.registry import open_registry

    return open_registry(folder, new=new)


@cache
def codec_for(
    model: str | None, device: str, codebook_id: str | None = None, store: Path | None = None
) -> Codec:
    """Load a model once in this process, with a codebook of its own or out of a store."""
    if codebook_id is not None:
        return codec_for(model, device, None, store).with_codebook(codebook_id)
    from audiocodec.codec import load

    compute_in_one_thread()
    return load(model, device, None if store is None else open_store(store))


@dataclass(frozen=True)
class CodecChoice:
    """Which model and codebooks a task uses; each process loads them once.

    Attributes:
        codebook_id: None for the codebooks of the model itself.
    """

    model: str | None
    device: str
    codebook_id: str | None = None
    store: Path | None = None

    def load(self) -> Codec:
        """The codec, loaded at the first call in this process."""
        return codec_for(self.model, self.device, self.codebook_id, self.store)

    def load_for(self, header: Header) -> Codec:
        """The codec that decodes a file: that of `model` if it is given, else the installed one it names."""
        model = self.model or pretrained.name_for(header)
        return codec_for(model, self.device, None, self.store)


def choose_codec(model: str | None, device: str, codebook_id: str | None, store: Path | None) -> CodecChoice:
    """The codec to encode with, by the options of a command: decided and loaded once for all its files.

    Raises:
        RegistryError: the model, the store or the codebook is not there.
    """
    codebook_id = chosen_codebook(codec_for(model, device, None, store), codebook_id, store)
    choice = CodecChoice(model, device, codebook_id, store)
    choice.load()
    return choice


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
    """Whether what a file was made with is available, in an installed model or in a store."""
    if any(entry.codebook_id.startswith(header.codebook_id) for entry in pretrained.models().values()):
        return True
    return registry is not None and registry.files.find(header.codebook_id) is not None
