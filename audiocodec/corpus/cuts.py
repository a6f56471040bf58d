"""Reads recordings from cuts of Lhotse (https://lhotse.readthedocs.io) in JSONL."""

from __future__ import annotations

import gzip
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from audiocodec.corpus.manifest import MAX_BYTES, MAX_LINE_BYTES, SPLITS, Recording, can_be_named
from audiocodec.corpus.splits import complete_splits
from audiocodec.errors import AudioCodecError, InputError, require
from audiocodec.outside import MALFORMED, lines, parse_json

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("MonoCut", "MultiCut", "MixedCut", "PaddingCut")
MAX_SECONDS = 1e9

logger = logging.getLogger(__name__)


def is_cuts(path: Path) -> bool:
    """Whether a file is JSONL, possibly packed by gzip, and its first line is a cut."""
    if not path.name.endswith((".jsonl", ".jsonl.gz")) or not path.is_file():
        return False
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            first = parse_json(file.readline(MAX_LINE_BYTES))
    except (OSError, *MALFORMED):
        return False
    return isinstance(first, dict) and first.get("type") in KINDS


def read_cuts(path: Path) -> list[Recording]:
    """List the cuts as recordings; relative paths are relative to the folder of `path`.

    A cut is a part of a file, with its channels averaged. Its speaker is that of its first supervision; its
    split, source and kind are custom fields. Where cuts have no split, whole speakers are held out. Cuts
    that are not a plain part of a file (mixed, padded, changed in speed, made by a command) are left out.

    Raises:
        InputError: the file cannot be read, or has no cut that can be used.
        MissingPackageError: Lhotse is not installed.
    """
    _check_size(path)
    recordings: list[Recording] = []
    left_out: Counter[str] = Counter()
    try:
        for cut in _load(path):
            reason = _why_left_out(cut)
            if reason:
                left_out[reason] += 1
            else:
                recordings.append(_recording(path, cut))
    except AudioCodecError:
        raise
    except (OSError, AssertionError, *MALFORMED) as error:
        raise InputError(f"{path}: not the cuts of Lhotse ({type(error).__name__}: {error})") from error
    for reason, count in left_out.items():
        logger.warning("%s: left out %d cuts: %s", path, count, reason)
    if not recordings:
        raise InputError(f"{path}: no cut that is a part of a sound file; save cuts of recordings on disk")
    return complete_splits(recordings)


def _check_size(path: Path) -> None:
    """Check the size of the unpacked file by unpacking it once: it may be a thousand times the packed size.

    Raises:
        InputError: the file or one of its lines is too large, or the file cannot be read.
    """
    left = MAX_BYTES
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(lines(cast("BinaryIO", file), MAX_LINE_BYTES), 1):
                left -= MAX_LINE_BYTES if line is None else len(line)
                if line is None or left < 0:
                    raise InputError(f"{path}, line {number}: too large for cuts; is it the right file?")
    except InputError:
        raise
    except (OSError, *MALFORMED) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _load(path: Path) -> Any:
    lhotse = require("lhotse", f"{path}: reading cuts", "'audiocodec[data]'")
    return lhotse.CutSet.from_jsonl_lazy(path)


def _why_left_out(cut: Any) -> str:
    """Why a cut is not used; empty if it is used."""
    if type(cut).__name__ not in ("MonoCut", "MultiCut") or not cut.has_recording:
        return "mixed or padded, or without a recording"
    if cut.recording.transforms:
        return "changed in speed, volume or the like; save them without, the recipe does that"
    if len(cut.recording.sources) != 1 or cut.recording.sources[0].type != "file":
        return "not from one file on disk"
    return ""


def _recording(manifest: Path, cut: Any) -> Recording:
    supervision = cut.supervisions[0] if cut.supervisions else None
    custom: dict[str, Any] = cut.custom or {}
    split, source, kind = (str(custom.get(name) or "") for name in ("split", "source", "kind"))
    name, part = cut.recording.sources[0].source, (float(cut.start), float(cut.start + cut.duration))
    speaker = str(getattr(supervision, "speaker", None) or "")
    if not isinstance(name, str) or not all(map(can_be_named, (name, source, speaker))):
        raise ValueError(f"cut {cut.id!r:.80} has no name of a file, or another that is no text")
    if not 0 <= part[0] < part[1] < MAX_SECONDS:
        raise ValueError(f"cut {cut.id!r:.80} has no length")
    whole = cut.start == 0 and abs(cut.duration - cut.recording.duration) < 1e-3
    return Recording(
        name,
        manifest.parent / name,
        split=split if split in SPLITS else "",
        kind=kind or "speech",
        source=source,
        speaker=speaker,
        part=None if whole else part,
    )
