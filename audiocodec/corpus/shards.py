"""Finds tar shards and reads their recordings; shards may be hostile.

A recording is a run of members of a tar file with the same name up to the first dot, as in
https://github.com/webdataset/webdataset: a sound file, and a `.json` that may give speaker and source. Sizes
are capped before anything is read, names are never used as paths, links are not followed.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from audiocodec.audio import AUDIO_SUFFIXES, Resampler, blocks_of_bytes, mono
from audiocodec.errors import InputError, require
from audiocodec.outside import MALFORMED, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import numpy as np
    from numpy.typing import NDArray

BLOCK_LENGTH = 1 << 18
"""Samples decoded at a time."""
MAX_SHARDS = 1_000_000
MAX_MEMBER_BYTES = 256 << 20
MAX_JSON_BYTES = 1 << 20
MAX_SECONDS = 3600.0
"""Limit of a recording in a shard, which is decoded as a whole."""
MAX_NAME = 200


@dataclass(frozen=True)
class Packed:
    """A recording in a shard, not decoded.

    Attributes:
        name: `SHARD/KEY`, for messages.
        sound: bytes of the sound file; empty if it cannot be used.
        speaker: from the `.json` member, as is `source`.
        problem: why the recording cannot be used; empty otherwise.
    """

    name: str
    sound: bytes
    speaker: str = ""
    source: str = ""
    problem: str = ""


def is_shards(manifest: str) -> bool:
    """Whether a name in a recipe means shards: it ends in .tar, or is a folder with such files."""
    if manifest.endswith(".tar"):
        return True
    folder = Path(manifest)
    return folder.is_dir() and any(folder.glob("*.tar"))


def find_shards(pattern: str) -> list[Path]:
    """List the shards of a folder, or of a path with braces (`{000..099}`, `{a,b}`) and `*`, in order.

    Raises:
        InputError: there is none, or some are missing; names them.
        MissingPackageError: braces need a package that is not installed.
    """
    if "://" in pattern or pattern.startswith("pipe:"):
        raise InputError(f"{pattern}: shards are read from folders; mount the store, or copy them")
    if Path(pattern).is_dir():
        return sorted(Path(pattern).glob("*.tar"))
    shards: list[Path] = []
    for name in _expand(pattern):
        path = Path(name)
        shards += sorted(path.parent.glob(path.name)) if "*" in path.name or "?" in path.name else [path]
    missing = [path for path in shards if not path.is_file()]
    if missing or not shards:
        named = ", ".join(map(str, missing[:10]))
        raise InputError(
            f"{pattern}: {len(missing)} of {len(shards)} shards are missing ({named})"
            if missing
            else f"{pattern}: no such shard"
        )
    return list(dict.fromkeys(shards))


def read_shard(path: Path) -> Iterator[Packed]:
    """Yield the recordings of a shard in order; those that cannot be used have a `problem`.

    If the tar file is damaged, one recording with a `problem` stands for the rest of the file.

    Raises:
        InputError: the file cannot be opened or read at all.
    """
    try:
        with path.open("rb") as file:
            yield from _group(path, _Members(file))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def decode_packed(packed: Packed, sample_rate: int) -> NDArray[np.float32]:
    """The sound of a recording [L], channels averaged, at `sample_rate`.

    Raises:
        InputError: it cannot be used.
    """
    import numpy as np

    if packed.problem:
        raise InputError(f"{packed.name}: {packed.problem}")
    about, blocks = blocks_of_bytes(packed.sound, packed.name, BLOCK_LENGTH)
    if about.seconds > MAX_SECONDS:
        raise InputError(f"{packed.name}: longer than {MAX_SECONDS:g} s; cut it before packing it")
    resampler = Resampler(about.sample_rate, sample_rate, 1)
    parts = [resampler.push(block)[0] for block in mono(blocks, packed.name)]
    return np.concatenate([*parts, resampler.flush()[0]])


class _Members:
    """Regular members of a tar file as (name, suffix, bytes or a problem), nothing larger than the caps."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def read(self, size: int = -1) -> bytes:
        """Read for tarfile; a header that claims an impossible size is damage."""
        if not 0 <= size <= MAX_MEMBER_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return self.file.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        return self.file.seek(position, whence)

    def tell(self) -> int:
        return self.file.tell()

    def __iter__(self) -> Iterator[tuple[str, str, bytes | str]]:
        with tarfile.open(fileobj=cast("BinaryIO", self), mode="r:") as tar:
            while (member := tar.next()) is not None:
                cast("Any", tar).members.clear()  # else every header of the shard stays in memory
                base, dot, suffix = member.name.rpartition("/")[2].partition(".")
                if not member.isreg() or member.issparse() or not base or not dot:
                    continue
                key = member.name[: len(member.name) - len(suffix) - 1]
                kind = f".{suffix.lower()}"
                if kind != ".json" and f".{kind.rpartition('.')[2]}" not in AUDIO_SUFFIXES:
                    continue
                cap = MAX_JSON_BYTES if kind == ".json" else MAX_MEMBER_BYTES
                if member.size > cap:
                    yield key, kind, f"has {member.size} bytes, {cap} are allowed"
                    continue
                content = tar.extractfile(member)
                assert content is not None, "regular members have content"
                yield key, kind, content.read()
            # tarfile treats a damaged header as the end of the file.
            self.file.seek(tar.offset)
            if self.file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise tarfile.ReadError("no member and no mark of the end where one should be")


def _group(path: Path, members: _Members) -> Iterator[Packed]:
    key, sound, about, damage = "", None, {}, ""
    try:
        for name, suffix, content in members:
            if name != key:
                if sound is not None:
                    yield _packed(path, key, sound, about)
                key, sound, about = name, None, {}
            if suffix == ".json":
                about = _about(content)
            elif sound is None:
                sound = content
    except MALFORMED as error:
        damage = f"damaged ({error}); what follows in it is left out"
    if sound is not None:
        yield _packed(path, key, sound, about)
    if damage:
        yield Packed(f"{path}", b"", problem=damage)


def _packed(path: Path, key: str, sound: bytes | str, about: dict[str, Any]) -> Packed:
    speaker, source = (_text(about.get(name)) for name in ("speaker", "source"))
    content, problem = (b"", sound) if isinstance(sound, str) else (sound, "")
    return Packed(f"{path}/{_text(key)}", content, speaker, source, problem)


def _about(content: bytes | str) -> dict[str, Any]:
    try:
        about = parse_json(content, finite=False) if isinstance(content, bytes) else None
    except MALFORMED:
        about = None
    return cast("dict[str, Any]", about) if isinstance(about, dict) else {}


def _text(value: Any) -> str:
    """A short printable text: it goes to logs."""
    if not isinstance(value, str | int):
        return ""
    text = "".join(char if char.isprintable() else "?" for char in str(value)[: MAX_NAME + 1])
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}..."


def _expand(pattern: str) -> list[str]:
    if "{" not in pattern:
        return [pattern]
    ranges = re.findall(r"\{(\d+)\.\.(\d+)", pattern)
    if any(abs(int(last) - int(first)) >= MAX_SHARDS for first, last in ranges):
        raise InputError(f"{pattern}: more than {MAX_SHARDS} shards; make them larger")
    braceexpand = require("braceexpand", f"{pattern}: expanding braces", "'audiocodec[data]'").braceexpand
    try:
        names = list(islice(braceexpand(pattern), MAX_SHARDS + 1))
    except ValueError as error:
        raise InputError(f"{pattern}: {error}; close every brace") from error
    if len(names) > MAX_SHARDS:
        raise InputError(f"{pattern}: more than {MAX_SHARDS} shards; make them larger")
    return names
