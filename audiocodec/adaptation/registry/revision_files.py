"""Revision files: safetensors with codebooks, or with what differs from those of another; and their folder.

Each file is named by what is in it, and never changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from audiocodec.adaptation.registry.audit import IDENTITY, OnStep, cannot_write
from audiocodec.adaptation.registry.delta import SEPARATOR, Array, apply, count_changed, difference
from audiocodec.checkpoint import identify_codebooks
from audiocodec.errors import RegistryError
from audiocodec.outside import MALFORMED, parse_json, read_bytes
from audiocodec.revisions import ID_DIGITS
from audiocodec.storage import PART_SUFFIX, make_folder, replacing

if TYPE_CHECKING:
    from torch import Tensor

FILE_VERSION = 1
MAX_FILE_BYTES = 512 << 20
MAX_HEADER_BYTES = 1 << 20
MAX_DEPTH = 16
"""Deltas in a row; the next revision is written whole."""
SUFFIX = ".safetensors"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")


@dataclass(frozen=True)
class FileFacts:
    """What a revision file says about itself.

    Attributes:
        model_id: identity of the model.
        codebook_id: identity of the resulting codebooks.
        base: identity of the codebooks to which the changes apply; None if the file holds whole codebooks.
        depth: number of files that must be read before this one.
        changed: number of entries that differ from the base, for each codebook that differs.
    """

    model_id: str
    codebook_id: str
    base: str | None
    depth: int
    changed: dict[str, int]


@dataclass(frozen=True)
class StoredCodebooks:
    """Codebooks of a revision, and how many files must be read before its own."""

    codebook_id: str
    codebooks: Mapping[str, Array]
    depth: int


def to_arrays(codebooks: Mapping[str, Tensor]) -> dict[str, Array]:
    """Tensors as single-precision arrays.

    Raises:
        RegistryError: there are no codebooks, or a name or value cannot be stored.
    """
    if not codebooks:
        raise RegistryError(
            "there are no codebooks: this model's quantizer has none, so nothing can be adapted"
        )
    arrays: dict[str, Array] = {}
    for name, codebook in codebooks.items():
        if not _NAME.fullmatch(name) or not codebook.is_floating_point():
            raise RegistryError(
                f"codebook {name!r} of {codebook.dtype}: names are letters, digits and ._-, values floats"
            )
        if not bool(codebook.isfinite().all()):
            raise RegistryError(f"codebook {name} has values that are not finite; fit it anew")
        arrays[name] = codebook.detach().cpu().float().contiguous().numpy()
    return arrays


def to_tensors(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """Arrays as tensors of their own memory."""
    import torch

    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def pack(
    model_id: str, codebooks: Mapping[str, Array], base: StoredCodebooks | None
) -> tuple[bytes, FileFacts]:
    """Write codebooks as changes to `base` if that is much shorter, else whole.

    Equal arguments give equal bytes.

    Raises:
        RegistryError: the codebooks are too large.
    """
    codebook_id = identify(codebooks)
    whole = sum(array.nbytes for array in codebooks.values())
    if whole > MAX_FILE_BYTES // 2:
        raise RegistryError(f"codebooks of {whole} bytes; at most {MAX_FILE_BYTES // 2} are kept")
    arrays, facts = dict[str, NDArray[Any]](codebooks), FileFacts(model_id, codebook_id, None, 0, {})
    if base is not None and base.depth < MAX_DEPTH and base.codebooks.keys() <= codebooks.keys():
        changes = difference(base.codebooks, codebooks)
        if 2 * sum(array.nbytes for array in changes.values()) < whole:
            changed = count_changed(base.codebooks, codebooks)
            arrays = changes
            facts = FileFacts(model_id, codebook_id, base.codebook_id, base.depth + 1, changed)
    document = json.dumps({"version": FILE_VERSION, **vars(facts)}, sort_keys=True)
    # One metadata entry: several would be written in random order.
    return to_safetensors(
        {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}, {"audiocodec": document}
    ), facts


def read_facts(data: bytes) -> FileFacts:
    """What a file says about itself; the codebooks in it are not read.

    Raises:
        RegistryError: it is not a revision file.
    """
    size = int.from_bytes(data[:8], "little")
    if len(data) > MAX_FILE_BYTES or not 0 < size <= min(len(data) - 8, MAX_HEADER_BYTES):
        raise RegistryError("not a revision file, or one of an impossible size")
    try:
        header = parse_json(data[8 : 8 + size])
        fields = cast("dict[str, Any]", parse_json(header["__metadata__"]["audiocodec"]))
        version, base, depth = fields["version"], fields["base"], fields["depth"]
        identities = [fields["model_id"], fields["codebook_id"], *([] if base is None else [base])]
        changed = {str(name): int(count) for name, count in fields["changed"].items()}
    except MALFORMED as error:
        raise RegistryError("not a revision file: it does not describe itself") from error
    if version != FILE_VERSION:
        raise RegistryError(
            f"revision file of version {version!r}, {FILE_VERSION} is read; update audiocodec"
        )
    if not all(isinstance(text, str) and IDENTITY.fullmatch(text) for text in identities):
        raise RegistryError("not a revision file: an identity is not 64 hexadecimal digits")
    if type(depth) is not int or not (0 <= depth <= MAX_DEPTH) or (depth == 0) != (base is None):
        raise RegistryError(f"not a revision file: depth {depth!r}, at most {MAX_DEPTH} is allowed")
    return FileFacts(identities[0], identities[1], base, depth, changed)


def unpack(data: bytes, base: Mapping[str, Array] | None) -> dict[str, Array]:
    """The codebooks of a file, verified against the identity it states; `base` are those it refers to.

    Raises:
        RegistryError: the file is damaged, or its codebooks have another identity.
    """
    facts = read_facts(data)
    try:
        arrays = from_safetensors(data)
        if facts.base is None and any(SEPARATOR in name for name in arrays):
            raise RegistryError("damaged: changes without a base")
        with np.errstate(over="ignore", invalid="ignore"):
            codebooks = apply(base or {}, arrays)
    except RegistryError:
        raise
    except MALFORMED as error:
        raise RegistryError(f"damaged ({error})") from error
    if not all(np.isfinite(codebook).all() for codebook in codebooks.values()):
        raise RegistryError("damaged: it has values that are not finite")
    if identify(codebooks) != facts.codebook_id:
        raise RegistryError(f"its content is not codebook {facts.codebook_id[:32]}: it was changed")
    return codebooks


def identify(codebooks: Mapping[str, Array]) -> str:
    """Identity of codebooks, as files name it."""
    import torch

    return identify_codebooks({name: torch.from_numpy(array) for name, array in codebooks.items()})


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


class RevisionFolder:
    """Finds, reads and adds revision files below `root`: `<model>/<codebooks>.safetensors`.

    The name of `<model>` has as many digits as a `.nac` file carries. `pending` are files, by codebook_id,
    that are not on the disk yet.
    """

    def __init__(self, root: Path, on_step: OnStep, pending: Mapping[str, bytes] | None = None) -> None:
        self.root, self._on_step, self.pending = root, on_step, dict(pending or {})

    def with_pending(self, pending: Mapping[str, bytes]) -> RevisionFolder:
        """The same folder, as if the files `pending` were in it."""
        return RevisionFolder(self.root, self._on_step, pending)

    def path(self, model_id: str, codebook_id: str) -> Path:
        """Path of a revision file."""
        return self.root / model_id[:ID_DIGITS] / f"{codebook_id}{SUFFIX}"

    def find(self, prefix: str) -> Path | None:
        """The file of the codebooks whose identity starts with `prefix`, of any model; None if there is none.

        Raises:
            RegistryError: there are several.
        """
        if not prefix or IDENTITY.fullmatch(prefix.ljust(64, "0")) is None:
            return None
        paths = {path.stem: path for path in sorted(self.root.glob(f"*/{prefix}*{SUFFIX}"))}
        if len(paths) > 1:
            names = ", ".join(paths)
            raise RegistryError(
                f"{self.root}: {len(paths)} codebooks start with {prefix!r}: {names}; give more digits"
            )
        return next(iter(paths.values()), None)

    def model_of(self, path: Path) -> str:
        """Identity of the model that a file found here is for.

        Raises:
            RegistryError: the file is damaged.
        """
        try:
            return read_facts(read_bytes(path, MAX_FILE_BYTES, RegistryError)).model_id
        except RegistryError as error:
            problem = str(error).removeprefix(f"{path}: ")
            raise RegistryError(f"{path}: {problem}; restore it from a copy, or import it again") from error

    def read(self, model_id: str, codebook_id: str) -> bytes:
        """The bytes of a revision file.

        Raises:
            RegistryError: it is missing or cannot be read.
        """
        if codebook_id in self.pending:
            return self.pending[codebook_id]
        path = self.path(model_id, codebook_id)
        if not path.exists():
            raise RegistryError(f"{path}: missing; restore it from a copy, or import the revision again")
        return read_bytes(path, MAX_FILE_BYTES, RegistryError)

    def chain(self, model_id: str, codebook_id: str) -> list[tuple[FileFacts, bytes]]:
        """The files that a revision needs: first the one with whole codebooks, last its own.

        Raises:
            RegistryError: one is missing, damaged or of another model.
        """
        files: list[tuple[FileFacts, bytes]] = []
        wanted: str | None = codebook_id
        while wanted is not None:
            data = self.read(model_id, wanted)
            facts = self._facts(model_id, wanted, data)
            if files and facts.depth != files[-1][0].depth - 1:
                raise RegistryError(
                    f"{self.path(model_id, wanted)}: its depth does not fit the next revision"
                )
            files.append((facts, data))
            if len(files) > MAX_DEPTH + 1:
                raise RegistryError(
                    f"{self.path(model_id, codebook_id)}: more than {MAX_DEPTH} changes in a row"
                )
            wanted = facts.base
        return files[::-1]

    def load(self, model_id: str, codebook_id: str) -> StoredCodebooks:
        """Codebooks of a revision, verified.

        Raises:
            RegistryError: a file it needs is missing or damaged; the message names it.
        """
        codebooks: dict[str, Array] | None = None
        depth = 0
        for facts, data in self.chain(model_id, codebook_id):
            try:
                codebooks, depth = unpack(data, codebooks), facts.depth
            except RegistryError as error:
                path = self.path(model_id, facts.codebook_id)
                raise RegistryError(f"{path}: {error}; restore it from a copy, or import it again") from error
        assert codebooks is not None
        return StoredCodebooks(codebook_id, codebooks, depth)

    def add(self, facts: FileFacts, data: bytes) -> None:
        """Write a file durably, unless a sound one exists; a damaged one is replaced.

        Raises:
            RegistryError: the disk is full or the folder cannot be written; nothing is left behind.
        """
        if self.is_sound(facts.model_id, facts.codebook_id):
            return
        path = self.path(facts.model_id, facts.codebook_id)
        try:
            make_folder(path.parent)
            with replacing(path) as temporary:
                temporary.write_bytes(data)
                self._on_step("file written")
            self._on_step("file named")
        except OSError as error:
            raise cannot_write(path, error) from error

    def is_sound(self, model_id: str, codebook_id: str) -> bool:
        """Whether a revision exists and its content has the identity in its name."""
        try:
            self.load(model_id, codebook_id)
        except RegistryError:
            return False
        return True

    def describe(self, model_id: str, codebook_id: str) -> dict[str, Any]:
        """What the log records about a file."""
        data = self.read(model_id, codebook_id)
        facts = self._facts(model_id, codebook_id, data)
        return {
            "bytes": len(data),
            "sha256": sha256(data),
            "kind": "full" if facts.base is None else "delta",
            "base": facts.base,
            "depth": facts.depth,
            "changed": facts.changed,
        }

    def listing(self) -> list[tuple[Path, str]]:
        """Every file, with the codebook_id in its name; "" if its name has none."""
        paths = sorted(path for path in self.root.glob("*/*") if path.suffix != PART_SUFFIX)
        return [
            (path, path.stem if path.suffix == SUFFIX and IDENTITY.fullmatch(path.stem) else "")
            for path in paths
        ]

    def leftovers(self) -> list[Path]:
        """Temporary files of writers that were stopped."""
        return sorted(self.root.glob(f"*/.*{PART_SUFFIX}"))

    def _facts(self, model_id: str, codebook_id: str, data: bytes) -> FileFacts:
        path = self.path(model_id, codebook_id)
        try:
            facts = read_facts(data)
        except RegistryError as error:
            raise RegistryError(f"{path}: {error}; restore it from a copy, or import it again") from error
        if (facts.model_id, facts.codebook_id) != (model_id, codebook_id):
            raise RegistryError(
                f"{path}: it holds codebook {facts.codebook_id[:ID_DIGITS]} of model"
                f" {facts.model_id[:ID_DIGITS]}; restore it from a copy"
            )
        return facts
