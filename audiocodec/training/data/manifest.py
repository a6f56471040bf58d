"""Which recordings there are: from a CSV or JSONL manifest, or from a plain folder."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from audiocodec.audio import find_audio
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

MAX_MANIFEST_BYTES = 1 << 30
"""About five million lines."""
SPLITS = ("train", "valid", "test")
HELD_OUT = 50
"""One of so many recordings of a folder is kept for validation."""


@dataclass(frozen=True)
class Recording:
    """One sound file.

    Attributes:
        path: where it is.
        split: train, valid or test.
        kind: what it holds; speech is what a codec learns from.
        source: the corpus it comes from, which `source_weights` may name.
        speaker: who speaks, told apart within a source; empty when not known.
        part: seconds (start, stop) of the file that are the recording; None for all of it.
    """

    path: Path
    split: str
    kind: str
    source: str
    speaker: str = ""
    part: tuple[float, float] | None = None


def read_recordings(path: Path) -> list[Recording]:
    """List the recordings of a manifest or a folder.

    Raises:
        InputError: it is missing or cannot be understood.
    """
    return read_folder(path) if path.is_dir() else read_manifest(path)


def read_manifest(path: Path) -> list[Recording]:
    """Read a CSV or JSONL manifest; audio paths in it are relative to its folder.

    Raises:
        InputError: the file is missing, or a line, which is named, cannot be understood.
    """
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise InputError(f"{path}: larger than {MAX_MANIFEST_BYTES} bytes; this is not a manifest")
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = _csv_rows(file) if path.suffix.lower() == ".csv" else _json_rows(file)
            return [_recording(path, line, row) for line, row in rows]
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path}: cannot be read ({reason}); set data.manifest to a CSV or JSONL file, or to a folder"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; save the manifest as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error}); write one recording a line") from error


def read_folder(folder: Path, hold_out: bool = True) -> list[Recording]:
    """List the sound files of a folder tree as speech; the first folder below it names their source.

    Folders named train, valid or test say the split. Where none is named valid, about one file in fifty (at
    least one, when there are two) is held out, always the same ones, unless `hold_out` is False.

    Raises:
        InputError: there is no sound file.
    """
    files = find_audio([folder])
    below = [file.relative_to(folder) for file in files]
    splits = [next((part for part in path.parts[:-1] if part in SPLITS), "train") for path in below]
    if hold_out and "valid" not in splits:
        ranks = {i: crc32(below[i].as_posix().encode()) for i, split in enumerate(splits) if split == "train"}
        held_out = [i for i, rank in ranks.items() if rank % HELD_OUT == 0 and len(ranks) > 1]
        if not held_out and len(ranks) > 1:
            held_out = [min(ranks, key=lambda i: ranks[i])]
        for i in held_out[: len(ranks) - 1]:
            splits[i] = "valid"
    sources = [next((part for part in path.parts[:-1] if part not in SPLITS), "") for path in below]
    return [Recording(f, split, "speech", s) for f, split, s in zip(files, splits, sources, strict=True)]


def _csv_rows(file: TextIO) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(file)
    for row in reader:
        yield reader.line_num, row


def _json_rows(file: TextIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None


def _recording(manifest: Path, line: int, row: Any) -> Recording:
    columns = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
    name = columns.get("path")
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise InputError(
            f"{manifest}, line {line}: no `path` of a sound file; every line needs one,"
            " split, kind and source are optional"
        )
    split, kind, source, speaker = (
        str(columns.get(key) or "") for key in ("split", "kind", "source", "speaker")
    )
    return Recording(manifest.parent / name, split or "train", kind or "speech", source, speaker)
