"""The folder of revision files: each is named by what is in it, and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiocodec.adaptation.registry.delta import Array
from audiocodec.adaptation.registry.disk import OnStep, write_new
from audiocodec.adaptation.registry.revision_file import (
    IDENTITY,
    MAX_DEPTH,
    MAX_FILE_BYTES,
    Base,
    FileFacts,
    read_facts,
    sha256,
    unpack,
)
from audiocodec.errors import RegistryError
from audiocodec.outside import read_bytes
from audiocodec.storage import PART_SUFFIX

SUFFIX = ".safetensors"
ID_DIGITS = 32
"""Digits of the model's identity that name its folder, as many as a `.nac` file carries."""


class Shelf:
    """Finds, reads and adds revision files below `root`: `<model>/<codebooks>.safetensors`.

    `pending` are files by identity of codebooks that are not on the disk yet.
    """

    def __init__(self, root: Path, on_step: OnStep, pending: Mapping[str, bytes] | None = None) -> None:
        self.root, self._on_step, self.pending = root, on_step, dict(pending or {})

    def with_pending(self, pending: Mapping[str, bytes]) -> Shelf:
        """The same shelf, as if `pending` were on it."""
        return Shelf(self.root, self._on_step, pending)

    def path(self, model_id: str, codebook_id: str) -> Path:
        """Where a revision lies."""
        return self.root / model_id[:ID_DIGITS] / f"{codebook_id}{SUFFIX}"

    def find(self, prefix: str) -> Path | None:
        """The file of the codebooks whose identity starts with `prefix`, of whatever model; None without one.

        Raises:
            RegistryError: there are several.
        """
        if not prefix or IDENTITY.fullmatch(prefix.ljust(64, "0")) is None:
            return None
        found = {path.stem: path for path in sorted(self.root.glob(f"*/{prefix}*{SUFFIX}"))}
        if len(found) > 1:
            names = ", ".join(found)
            raise RegistryError(
                f"{self.root}: codebook {prefix!r} means {len(found)}: {names}; give more digits"
            )
        return next(iter(found.values()), None)

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
        """The files that a revision needs, whole one first, its own last.

        Raises:
            RegistryError: one is missing, damaged or of another model.
        """
        files: list[tuple[FileFacts, bytes]] = []
        wanted: str | None = codebook_id
        while wanted is not None:
            data = self.read(model_id, wanted)
            facts = self._facts(model_id, wanted, data)
            if files and facts.depth != files[-1][0].depth - 1:
                raise RegistryError(f"{self.path(model_id, wanted)}: not at the depth its follower claims")
            files.append((facts, data))
            if len(files) > MAX_DEPTH + 1:
                raise RegistryError(
                    f"{self.path(model_id, codebook_id)}: more than {MAX_DEPTH} changes in a row"
                )
            wanted = facts.base
        return files[::-1]

    def load(self, model_id: str, codebook_id: str) -> Base:
        """Codebooks of a revision, verified.

        Raises:
            RegistryError: a file it needs is missing or damaged; says which.
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
        return Base(codebook_id, codebooks, depth)

    def add(self, facts: FileFacts, data: bytes) -> None:
        """Put a file on the shelf, unless a sound one is there; a damaged one is replaced.

        Raises:
            RegistryError: it cannot be written.
        """
        if not self.is_sound(facts.model_id, facts.codebook_id):
            write_new(self.path(facts.model_id, facts.codebook_id), data, self._on_step)

    def is_sound(self, model_id: str, codebook_id: str) -> bool:
        """Whether a revision is there and gives what its name says."""
        try:
            self.load(model_id, codebook_id)
        except RegistryError:
            return False
        return True

    def describe(self, model_id: str, codebook_id: str) -> dict[str, Any]:
        """What the log says of a file."""
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

    def identities(self) -> list[tuple[Path, str]]:
        """Every file on the shelf with the identity in its name; "" where it is no identity."""
        found = sorted(path for path in self.root.glob("*/*") if path.suffix != PART_SUFFIX)
        return [
            (path, path.stem if path.suffix == SUFFIX and IDENTITY.fullmatch(path.stem) else "")
            for path in found
        ]

    def leftovers(self) -> list[Path]:
        """Hidden files of writers that were stopped."""
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
