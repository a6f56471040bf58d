"""Which recordings a source may take sound from: listed by a manifest (CSV or JSONL) or found in a folder."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from audiocodec.audio import find_audio
from audiocodec.config import load_config
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

KINDS = ("noise", "speech", "music", "rir")
"""Pools; rir are room impulse responses."""
SPLITS = ("train", "valid", "test")
MAX_MANIFEST_BYTES = 1 << 30


@dataclass(frozen=True)
class Clip:
    """One recording that a source may take sound from.

    Attributes:
        name: what logs call it: its path in the manifest or folder, with forward slashes.
        path: where it is.
        kind: the pool it is in, one of KINDS.
        type: what kind of noise or room: street, rain, simulated-large-far, ...
        source: the corpus it comes from.
        speaker: who speaks; empty when not known.
        seconds: how long it is; 0 when not known.
    """

    name: str
    path: Path
    kind: str
    type: str = ""
    source: str = ""
    speaker: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class TypeMap:
    """Types of recordings that do not say theirs, by patterns such as `*street*`, tried in order.

    A pattern is compared, in lower case, with each folder in the name of the recording (but train, valid and
    test), with its file name, and with its `speaker` column, where manifests of room responses name the room.

    Attributes:
        noise: patterns of each type of noise.
        rir: patterns of each type of room response.
    """

    noise: dict[str, tuple[str, ...]]
    rir: dict[str, tuple[str, ...]]

    def type_of(self, clip: Clip) -> str | None:
        """The first type with a pattern that fits; None without."""
        types = {"noise": self.noise, "rir": self.rir}.get(clip.kind, {})
        parts = (part for part in clip.name.lower().split("/") if part not in SPLITS)
        texts = (*parts, clip.speaker.lower())
        for name, patterns in types.items():
            if any(fnmatchcase(text, pattern.lower()) for pattern in patterns for text in texts):
                return name
        return None


def default_types() -> Path:
    """The type map that comes with the package."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_recipes"
    root = installed if installed.is_dir() else package.parent / "recipes"
    return root / "environments" / "types.yaml"


def read_types(path: Path | None = None) -> TypeMap:
    """Read a type map; the one that comes with the package where none is named.

    Raises:
        ConfigError: it is missing or cannot be understood.
    """
    return load_config(TypeMap, path or default_types())


def read_clips(manifest: Path, splits: Sequence[str] = (), types: TypeMap | None = None) -> list[Clip]:
    """List the recordings of a CSV or JSONL manifest, of these splits (none: all); other kinds are left out.

    A recording that names no split is in all of them.

    Columns: `path` (relative to the manifest); `split`, `kind`, `type`, `source`, `speaker` and `seconds`
    where there are such. A recording without a type gets one from `types`, else its source.

    Raises:
        InputError: the file cannot be read, or a line, which is named, has no path.
    """
    try:
        if manifest.stat().st_size > MAX_MANIFEST_BYTES:
            raise InputError(f"{manifest}: larger than {MAX_MANIFEST_BYTES} bytes; this is not a manifest")
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            rows = list(_csv_rows(file) if manifest.suffix.lower() == ".csv" else _json_rows(file))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{manifest}: cannot be read ({reason}); give a CSV or JSONL manifest") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{manifest}: not a CSV or JSONL manifest in UTF-8 ({error})") from error
    wanted = {*splits, ""} if splits else set()
    clips = [_clip(manifest, line, row) for line, row in rows if not wanted or _text(row, "split") in wanted]
    return [_typed(clip, types, clip.source) for clip in clips if clip.kind in KINDS]


def find_clips(folder: Path, kind: str, types: TypeMap | None = None) -> list[Clip]:
    """List the sound files of a folder tree as recordings of one kind.

    The type comes from `types`, else from the first folder below, else from the name without its number:
    street_03.wav is of type street. In a folder of speech, the first folder below names the speaker.

    Raises:
        InputError: there is no sound file.
    """
    clips: list[Clip] = []
    for path in find_audio([folder]):
        below = path.relative_to(folder)
        group = below.parts[0] if len(below.parts) > 1 else re.sub(r"[-_. ]*\d*$", "", below.stem)
        speaker = group if kind == "speech" and len(below.parts) > 1 else ""
        clip = Clip(below.as_posix(), path, kind, speaker=speaker, source=folder.name)
        clips.append(_typed(clip, types, group))
    return clips


def _typed(clip: Clip, types: TypeMap | None, otherwise: str) -> Clip:
    found = clip.type or (types.type_of(clip) if types else None) or otherwise
    return replace(clip, type=found or clip.kind)


def _csv_rows(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(file)
    for row in reader:
        yield reader.line_num, row


def _json_rows(file: TextIO) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            yield number, cast("dict[str, Any]", row) if isinstance(row, dict) else {}


def _clip(manifest: Path, line: int, row: dict[str, Any]) -> Clip:
    name = row.get("path")
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise InputError(f"{manifest}, line {line}: no `path` of a sound file; every line needs one")
    kind, type_, source, speaker = (_text(row, key) for key in ("kind", "type", "source", "speaker"))
    try:
        seconds = float(row.get("seconds") or row.get("duration") or 0.0)
    except (TypeError, ValueError):
        seconds = 0.0
    return Clip(name, manifest.parent / name, kind or "speech", type_, source, speaker, seconds)


def _text(row: dict[str, Any], key: str) -> str:
    return str(row.get(key) or "")
