"""The lines of a manifest: from a sound file to what is known of it, and back to disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocodec.storage import new_file
from audiocodec.training.data.corpora import complete_splits
from audiocodec.training.data.scanning.measuring import measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DIGITS = {"seconds": 4, "level_db": 2, "peak_db": 2, "clipped": 6, "silence": 4}
ORDER = (
    "path", "split", "kind", "source", "speaker", "language", "seconds", "sample_rate", "channels",
    "level_db", "peak_db", "clipped", "silence", "bytes",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A sound file to look at, and what its path says (see `Layout.fields`)."""

    path: Path
    fields: Mapping[str, str]


def scan(path: Path) -> dict[str, Any]:
    """Measure a file; gives what is measured of its row, its size in bytes with it.

    Raises:
        InputError: it cannot be read, or is silent.
    """
    measured = asdict(measure(path))
    rounded = {name: round(value, DIGITS.get(name, 0)) for name, value in measured.items()}
    return {**rounded, "bytes": path.stat().st_size}


def with_splits(rows: Sequence[dict[str, Any]], valid: float, test: float) -> list[dict[str, Any]]:
    """The same rows, each in a split; those without one go with their speaker, or alone if that is unknown.

    Files of unknown speakers are drawn by folder and name, so that moving the corpus moves none of them.
    """
    paths = [Path(row["path"]) for row in rows]
    keys = [{**row, "path": f"{path.parent.name}/{path.name}"} for row, path in zip(rows, paths, strict=True)]
    splits = complete_splits(keys, valid, test)
    return [{**row, "split": split} for row, split in zip(rows, splits, strict=True)]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], force: bool) -> None:
    """Write a JSONL manifest; paths of files below its folder become relative to it.

    Raises:
        InputError: it exists and `force` is False, or cannot be written.
    """
    with new_file(path, overwrite=force) as part, part.open("w", encoding="utf-8") as file:
        for row in rows:
            ordered = {name: row[name] for name in ORDER if row.get(name) not in (None, "")}
            file.write(json.dumps({**ordered, "path": relative(Path(row["path"]), path)}) + "\n")


def relative(path: Path, manifest: Path) -> str:
    """The path as a manifest writes it: below its folder relative, elsewhere absolute."""
    folder = manifest.absolute().parent
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
