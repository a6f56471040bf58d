"""Which recordings there are: from a CSV or JSONL manifest, or from a plain folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

from audiocodec.audio import find_audio
from audiocodec.audio.manifest import read_lines

if TYPE_CHECKING:
    from pathlib import Path

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
    return [_recording(path, columns) for _, columns in read_lines(path)]


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
        train = [i for i, split in enumerate(splits) if split == "train"]
        ranks = {i: crc32(os.fsencode(below[i].as_posix())) for i in train}
        held_out = [i for i, rank in ranks.items() if rank % HELD_OUT == 0 and len(ranks) > 1]
        if not held_out and len(ranks) > 1:
            held_out = [min(ranks, key=lambda i: ranks[i])]
        for i in held_out[: len(ranks) - 1]:
            splits[i] = "valid"
    sources = [next((part for part in path.parts[:-1] if part not in SPLITS), "") for path in below]
    return [Recording(f, split, "speech", s) for f, split, s in zip(files, splits, sources, strict=True)]


def _recording(manifest: Path, columns: dict[str, Any]) -> Recording:
    split, kind, source, speaker = (
        str(columns.get(key) or "") for key in ("split", "kind", "source", "speaker")
    )
    return Recording(manifest.parent / columns["path"], split or "train", kind or "speech", source, speaker)
