"""Recordings from the cuts of Lhotse (https://lhotse.readthedocs.io), in JSONL as Lhotse writes it."""

from __future__ import annotations

import gzip
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from audiocodec.audio.manifest import MAX_BYTES, can_be_named
from audiocodec.errors import AudioCodecError, InputError, require
from audiocodec.outside import MALFORMED, lines, parse_json
from audiocodec.training.data.corpora import TEST_SHARE, VALID_SHARE, complete_splits
from audiocodec.training.data.manifest import Recording
from audiocodec.training.data.splits import SPLITS

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("MonoCut", "MultiCut", "MixedCut", "PaddingCut")
MAX_LINE = 1 << 20
MAX_SECONDS = 1e9

logger = logging.getLogger(__name__)


def is_cuts(path: Path) -> bool:
    """Whether a file is JSONL, packed by gzip or not, and its first line a cut."""
    if not path.name.endswith((".jsonl", ".jsonl.gz")) or not path.is_file():
        return False
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            first = parse_json(file.readline(MAX_LINE))
    except (OSError, *MALFORMED):
        return False
    return isinstance(first, dict) and first.get("type") in KINDS


def read_cuts(path: Path) -> list[Recording]:
    """List the cuts as recordings; relative paths are relative to the folder of `path`.

    A cut is the part of a file that it says, all channels averaged; its speaker is that of its first
    supervision, its split and source are those of its custom fields, and whole speakers are held out where
    it names no split. What is no plain part of a file (mixed, padded, changed in speed, made by a command)
    is left out.

    Raises:
        InputError: the file cannot be understood, or nothing is left.
        MissingPackageError: Lhotse is not installed.
    """
    _check_size(path)
    rows: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    try:
        for cut in _load(path):
            reason = _why_not(cut)
            if reason:
                left_out[reason] += 1
            else:
                rows.append(_row(cut))
    except AudioCodecError:
        raise
    except (OSError, AssertionError, *MALFORMED) as error:
        raise InputError(f"{path}: not the cuts of Lhotse ({type(error).__name__}: {error})") from error
    for reason, count in left_out.items():
        logger.warning("%s: left out %d cuts: %s", path, count, reason)
    if not rows:
        raise InputError(f"{path}: no cut that is a part of a sound file; save cuts of recordings on disk")
    splits = complete_splits(rows, VALID_SHARE, TEST_SHARE)
    return [
        Recording(path.parent / row["path"], split, row["kind"], row["source"], row["speaker"], row["part"])
        for row, split in zip(rows, splits, strict=True)
    ]


def _check_size(path: Path) -> None:
    """Unpack all of a file once, to see how large it is: what is packed may grow a thousandfold.

    Raises:
        InputError: it, or one of its lines, is larger than those of cuts, or it cannot be read.
    """
    left = MAX_BYTES
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(lines(cast("BinaryIO", file), MAX_LINE), 1):
                left -= MAX_LINE if line is None else len(line)
                if line is None or left < 0:
                    raise InputError(f"{path}, line {number}: too large for cuts; is it the right file?")
    except InputError:
        raise
    except (OSError, *MALFORMED) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _load(path: Path) -> Any:
    lhotse = require("lhotse", f"{path}: reading cuts", "'audiocodec[data]'")
    return lhotse.CutSet.from_jsonl_lazy(path)


def _why_not(cut: Any) -> str:
    """Why a cut is not used; '' when it is."""
    if type(cut).__name__ not in ("MonoCut", "MultiCut") or not cut.has_recording:
        return "mixed or padded, or without a recording"
    if cut.recording.transforms:
        return "changed in speed, volume or the like; save them without, the recipe does that"
    if len(cut.recording.sources) != 1 or cut.recording.sources[0].type != "file":
        return "not from one file on disk"
    return ""


def _row(cut: Any) -> dict[str, Any]:
    said = cut.supervisions[0] if cut.supervisions else None
    custom: dict[str, Any] = cut.custom or {}
    split, source, kind = (str(custom.get(name) or "") for name in ("split", "source", "kind"))
    name, part = cut.recording.sources[0].source, (float(cut.start), float(cut.start + cut.duration))
    speaker = str(getattr(said, "speaker", None) or "")
    if not isinstance(name, str) or not all(map(can_be_named, (name, source, speaker))):
        raise ValueError(f"cut {cut.id!r:.80} has no name of a file, or another that is no text")
    if not 0 <= part[0] < part[1] < MAX_SECONDS:
        raise ValueError(f"cut {cut.id!r:.80} has no length")
    whole = cut.start == 0 and abs(cut.duration - cut.recording.duration) < 1e-3
    return {
        "path": name,
        "part": None if whole else part,
        "speaker": speaker,
        "split": split if split in SPLITS else "",
        "source": source,
        "kind": kind or "speech",
    }
