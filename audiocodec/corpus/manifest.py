"""Lists of recordings: a CSV file with a header line, a JSONL file, or a folder of sound files."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from audiocodec.audio import find_audio
from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED, lines, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPLITS = ("train", "valid", "test")
MAX_BYTES = 1 << 30
"""About five million lines."""
MAX_LINE_BYTES = 1 << 20
_OLD_LINE_ENDS = re.compile(r"(?<=\r)(?!\n)")
"""Some spreadsheets end lines by CR alone."""


@dataclass(frozen=True)
class Recording:
    """A sound file, or a part of one, with its description; text is empty where nothing is known.

    Attributes:
        name: its path in the manifest or below the folder, with forward slashes.
        path: the file.
        split: one of SPLITS.
        kind: speech, noise, music or rir (room impulse response).
        type: of noise or room: street, rain, simulated-large-far, ...
        source: the corpus it comes from.
        speaker: unique within a source.
        seconds: length; 0 if not known.
        part: start and end of the recording in the file, seconds; None for the whole file.
    """

    name: str
    path: Path
    _: KW_ONLY
    split: str = ""
    kind: str = "speech"
    type: str = ""
    source: str = ""
    speaker: str = ""
    language: str = ""
    seconds: float = 0.0
    part: tuple[float, float] | None = None


def read_recordings(path: Path) -> list[Recording]:
    """List the recordings of a manifest or a folder.

    Raises:
        InputError: it cannot be read, or a line of the manifest is wrong, which is named.
    """
    return read_folder(path) if path.is_dir() else read_manifest(path)


def read_folder(folder: Path) -> list[Recording]:
    """List the sound files of a folder tree, as speech.

    A folder named train, valid or test gives the split; the first other folder gives the speaker.

    Raises:
        InputError: there is no sound file.
    """
    recordings: list[Recording] = []
    for path in find_audio([folder]):
        below = path.relative_to(folder)
        split = next((part for part in below.parts[:-1] if part in SPLITS), "")
        speaker = next((part for part in below.parts[:-1] if part not in SPLITS), "")
        recordings.append(Recording(below.as_posix(), path, split=split, speaker=speaker))
    return recordings


def read_manifest(path: Path) -> list[Recording]:
    """Read a CSV or JSONL manifest: one recording a line, with the fields of `Recording` as columns.

    Only `path` is required; it is relative to the folder of the manifest. `duration` is another name of
    `seconds`. Other columns are ignored.

    Raises:
        InputError: the file cannot be read, or a line, which is named, has no path.
    """
    return [_recording(path, columns) for _, columns in read_lines(path)]


def _recording(manifest: Path, columns: dict[str, Any]) -> Recording:
    names = ("split", "kind", "type", "source", "speaker", "language")
    split, kind, type_, source, speaker, language = (str(columns.get(name) or "") for name in names)
    try:
        seconds = float(columns.get("seconds") or columns.get("duration") or 0.0)
    except (TypeError, ValueError, OverflowError):
        seconds = 0.0
    return Recording(
        columns["path"],
        manifest.parent / columns["path"],
        split=split,
        kind=kind or "speech",
        type=type_,
        source=source,
        speaker=speaker,
        language=language,
        seconds=seconds,
    )


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Read a manifest as (number of the line, all its columns).

    Raises:
        InputError: the file cannot be read, or a line, which is named, has no path of a sound file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES} bytes; this is not a manifest")
        with path.open("rb") as file:
            text = _text_lines(file, path)
            rows = list(_csv_lines(text) if path.suffix.lower() == ".csv" else _json_lines(text))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{path}: cannot be read ({reason}); give a CSV or JSONL manifest, or a folder"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text; save the manifest as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error}); write one recording a line") from error
    for number, columns in rows:
        name = columns.get("path")
        if not isinstance(name, str) or not name.strip() or not can_be_named(name):
            raise InputError(f"{path}, line {number}: no `path` of a sound file; every line needs one")
    return rows


def can_be_named(name: str) -> bool:
    """Whether the system could have a file of that name."""
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _text_lines(file: BinaryIO, path: Path) -> Iterator[str]:
    for number, line in enumerate(lines(file, MAX_LINE_BYTES), 1):
        if line is None:
            raise InputError(
                f"{path}, line {number}: more than {MAX_LINE_BYTES} bytes; this is not a manifest"
            )
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        yield from filter(None, _OLD_LINE_ENDS.split(text)) if "\r" in text else (text,)


def _csv_lines(text: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(text)
    for row in reader:
        yield reader.line_num, row


def _json_lines(text: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, finite=False)
        except MALFORMED:
            row = None
        yield number, cast("dict[str, Any]", row) if isinstance(row, dict) else {}
