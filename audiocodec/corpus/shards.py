"""Which shards there are, and the recordings in one; a shard is hostile until its bytes say otherwise.

A recording is the members of a tar file that share a name up to its first dot, one after the other, as in
https://github.com/webdataset/webdataset: sound, and a `.json` that may say speaker and source. Sizes are
capped before anything is read, names are never used as paths, links are not followed.
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
"""Samples that are decoded at a time."""
MAX_SHARDS = 1_000_000
MAX_MEMBER_BYTES = 256 << 20
MAX_JSON_BYTES = 1 << 20
MAX_SECONDS = 3600.0
"""Longer recordings do not belong into shards, where each is decoded whole."""
MAX_NAME = 200


@dataclass(frozen=True)
class Packed:
    """A recording as it lies in a shard.

    Attributes:
        name: `SHARD/KEY`, for messages.
        sound: bytes of the sound file; empty when it cannot be used, for the reason in `problem`.
        speaker: as the `.json` member says; likewise `source`.
        problem: why it cannot be used.
    """

    name: str
    sound: bytes
    speaker: str = ""
    source: str = ""
    problem: str = ""


def is_shards(manifest: str) -> bool:
    """Whether a name in a recipe means shards: files ending in .tar, or a folder of such files alone."""
    if manifest.endswith(".tar"):
        return True
    folder = Path(manifest)
    return folder.is_dir() and any(folder.glob("*.tar"))


def find_shards(pattern: str) -> list[Path]:
    """The shards that a folder, or a path with braces (`{000..099}`, `{a,b}`) and `*`, means, in order.

    Raises:
        InputError: there is none, or some are missing, which are named.
        MissingPackageError: braces need a package that is not installed.
    """
    if "://" in pattern or pattern.startswith("pipe:"):
        raise InputError(f"{pattern}: shards are read from folders; mount the store, or copy them")
    if Path(pattern).is_dir():
        return sorted(Path(pattern).glob("*.tar"))
    found: list[Path] = []
    for name in _expand(pattern):
        path = Path(name)
        globbed = sorted(path.parent.glob(path.name)) if "*" in path.name or "?" in path.name else [path]
        found += globbed
    missing = [path for path in found if not path.is_file()]
    if missing or not found:
        named = ", ".join(map(str, missing[:10]))
        raise InputError(
            f"{pattern}: {len(missing)} of {len(found)} shards are missing ({named})"
            if missing
            else f"{pattern}: no such shard"
        )
    return list(dict.fromkeys(found))


def read_shard(path: Path) -> Iterator[Packed]:
    """The recordings of a shard in order, those that cannot be used with the reason.

    Where the tar file itself is damaged, one with a `problem` stands for all that follows.

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
    found, blocks = blocks_of_bytes(packed.sound, packed.name, BLOCK_LENGTH)
    if found.seconds > MAX_SECONDS:
        raise InputError(f"{packed.name}: longer than {MAX_SECONDS:g} s; cut it before packing it")
    resampler = Resampler(found.sample_rate, sample_rate, 1)
    parts = [resampler.push(block)[0] for block in mono(blocks, packed.name)]
    return np.concatenate([*parts, resampler.flush()[0]])


class _Members:
    """Regular members of a tar file as (name, suffix, bytes or a problem), nothing larger than the caps."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def read(self, size: int = -1) -> bytes:
        """What tarfile reads through: headers that claim more than any header needs are damage."""
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
                wanted = f".{suffix.lower()}"
                if wanted != ".json" and f".{wanted.rpartition('.')[2]}" not in AUDIO_SUFFIXES:
                    continue
                cap = MAX_JSON_BYTES if wanted == ".json" else MAX_MEMBER_BYTES
                if member.size > cap:
                    yield key, wanted, f"has {member.size} bytes, {cap} are allowed"
                    continue
                content = tar.extractfile(member)
                assert content is not None, "regular members have content"
                yield key, wanted, content.read()
            # tarfile takes a damaged header for the end.
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
        found = parse_json(content, finite=False) if isinstance(content, bytes) else None
    except MALFORMED:
        found = None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    """A short text, printable: what comes from a shard goes to logs."""
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
