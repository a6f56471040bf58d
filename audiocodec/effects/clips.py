"""Which recordings a source may take sound from: listed by a manifest (CSV or JSONL) or found in a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocodec.audio import find_audio
from audiocodec.audio.manifest import read_lines
from audiocodec.config import load_config, recipes_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("noise", "speech", "music", "rir")
"""Pools; rir are room impulse responses."""
SPLITS = ("train", "valid", "test")


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


def read_types(path: Path | None = None) -> TypeMap:
    """Read a type map; the one that comes with the package where none is named.

    Raises:
        ConfigError: it is missing or cannot be understood.
    """
    return load_config(TypeMap, path or recipes_folder() / "environments" / "types.yaml")


def read_clips(manifest: Path, splits: Sequence[str] = (), types: TypeMap | None = None) -> list[Clip]:
    """List the recordings of a CSV or JSONL manifest, of these splits (none: all); other kinds are left out.

    A recording that names no split is in all of them.

    Columns: `path` (relative to the manifest); `split`, `kind`, `type`, `source`, `speaker` and `seconds`
    where there are such. A recording without a type gets one from `types`, else its source.

    Raises:
        InputError: the file cannot be read, or a line, which is named, has no path.
    """
    wanted = {*splits, ""} if splits else set()
    lines = [columns for _, columns in read_lines(manifest)]
    clips = [_clip(manifest, columns) for columns in lines if not wanted or _text(columns, "split") in wanted]
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


def _clip(manifest: Path, columns: dict[str, Any]) -> Clip:
    name: str = columns["path"]
    kind, type_, source, speaker = (_text(columns, key) for key in ("kind", "type", "source", "speaker"))
    try:
        seconds = float(columns.get("seconds") or columns.get("duration") or 0.0)
    except (TypeError, ValueError):
        seconds = 0.0
    return Clip(name, manifest.parent / name, kind or "speech", type_, source, speaker, seconds)


def _text(row: dict[str, Any], key: str) -> str:
    return str(row.get(key) or "")
