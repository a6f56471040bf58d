"""The models that come with the package: `index.json` describes them, its checksums are verified."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocodec.config import from_mapping
from audiocodec.errors import RegistryError
from audiocodec.outside import MALFORMED, parse_json, read_bytes

if TYPE_CHECKING:
    from audiocodec.bitstream import Header

INDEX_NAME = "index.json"
INDEX_VERSION = 1
MAX_INDEX_BYTES = 1 << 20


@dataclass(frozen=True)
class PretrainedEntry:
    """One model of `index.json`.

    Attributes:
        folder: its folder beside the index.
        files: SHA-256 of every file the model needs, by file name.
        model_id: identity of configuration and weights, as files name it.
        codebook_id: identity of its codebooks.
        sample_rate: Hz.
        bitrates: bit/s for one channel.
        parameters: number of weights, codebooks included.
        latency_ms: delay from a sound to its decoded copy in streams of one frame a packet.
        licence: SPDX name.
        description: one line for people.
        default: whether commands use it when none is named.
        denoise: whether it has a denoising switch.
    """

    folder: str
    files: dict[str, str]
    model_id: str
    codebook_id: str
    sample_rate: int
    bitrates: tuple[float, ...]
    parameters: int
    latency_ms: float
    licence: str
    description: str = ""
    default: bool = False
    denoise: bool = False


def data_folder() -> Path:
    """Where the models lie: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_pretrained"
    return installed if installed.is_dir() else package.parent / "pretrained"


def models(root: Path | None = None) -> dict[str, PretrainedEntry]:
    """Every pretrained model by name.

    Raises:
        RegistryError: the index is damaged.
    """
    file = (root or data_folder()) / INDEX_NAME
    if not file.is_file():
        return {}
    try:
        raw: dict[str, Any] = parse_json(read_bytes(file, MAX_INDEX_BYTES, RegistryError))
        if raw["version"] != INDEX_VERSION:
            raise RegistryError(
                f"{file}: index version {raw['version']!r}, {INDEX_VERSION} is read; update audiocodec"
            )
        return {str(name): from_mapping(PretrainedEntry, entry) for name, entry in raw["models"].items()}
    except MALFORMED as error:  # ConfigError among them
        raise RegistryError(f"{file}: damaged ({error}); install audiocodec again") from error


def default_model(root: Path | None = None) -> str:
    """Name of the model that is used when none is named.

    Raises:
        RegistryError: there is no model.
    """
    known = models(root)
    if not known:
        raise RegistryError("no pretrained model is installed; name a model folder")
    return next((name for name, entry in known.items() if entry.default), next(iter(known)))


def find(name_or_path: str | Path, root: Path | None = None) -> Path:
    """Folder of the pretrained model of that name, verified; or the path itself when there is such a file.

    Raises:
        RegistryError: neither a model nor a path, or a file of the model was changed.
    """
    root = root or data_folder()
    known = models(root)
    entry = known.get(str(name_or_path))
    if entry is None:
        path = Path(name_or_path)
        if os.path.exists(path):  # a name too long is no path
            return path
        names = ", ".join(sorted(known)) or "none"
        raise RegistryError(
            f"model {str(name_or_path)!r} is not known; pretrained are: {names}; or name a model folder"
        )
    folder = _inside(root, entry.folder)
    for file, expected in entry.files.items():
        _verify(_inside(folder, file), expected)
    return folder


def find_by_id(model_id: str, root: Path | None = None) -> str | None:
    """Name of the pretrained model whose identity starts with `model_id`, if there is one."""
    return next((name for name, entry in models(root).items() if entry.model_id.startswith(model_id)), None)


def name_for(header: Header) -> str:
    """Name of the pretrained model that a file was made with.

    Raises:
        RegistryError: it is not installed.
    """
    name = find_by_id(header.model_id)
    if name is None:
        raise RegistryError(
            f"made with model {header.model_name!r} (identity {header.model_id}), which is not installed;"
            " name its folder (--model)"
        )
    return name


def sha256(file: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _inside(folder: Path, name: str) -> Path:
    if Path(name).name != name or name in ("", ".", ".."):
        raise RegistryError(f"{folder / INDEX_NAME}: {name!r} is no plain name; install audiocodec again")
    return folder / name


def _verify(file: Path, expected: str) -> None:
    if not file.is_file():
        raise RegistryError(f"{file}: missing; install audiocodec again")
    if sha256(file) != expected:
        raise RegistryError(
            f"{file}: not the file that was published (its SHA-256 differs); install audiocodec again"
        )
