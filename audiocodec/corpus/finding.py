"""Finds the recordings that a recipe names, in any form, and checks them before training starts."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.corpus.cuts import is_cuts, read_cuts
from audiocodec.corpus.layouts import find_corpus, read_corpus
from audiocodec.corpus.manifest import Recording, read_folder, read_manifest
from audiocodec.corpus.splits import complete_splits, speakers_across
from audiocodec.errors import InputError
from audiocodec.storage import new_file

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER_SHARE = 0.02
"""Share of the files of a folder without splits that is held out for validation."""
NAMED = 20
"""Missing files or speakers that a message names at most."""
MISSING_NAME = "missing-recordings.txt"

logger = logging.getLogger(__name__)


def find_recordings(manifest: str, corpus: str = "", hold_out: bool = True) -> list[Recording]:
    """List the recordings of a manifest, a folder, a folder in the layout of `corpus`, or of Lhotse's cuts.

    Every recording gets a split, by default train. In a plain folder, the first folder below gives the
    source, and about one file in fifty gets split valid, unless there is a folder valid or `hold_out` is
    False. A file (or a part of one) that is listed twice counts once. A warning names speakers in several
    splits.

    Raises:
        InputError: it is missing or cannot be read.
        ConfigError: there is no such corpus.
    """
    path = Path(manifest)
    if corpus:
        recordings = read_corpus(path, find_corpus(corpus))
    elif path.is_dir():
        recordings = [replace(one, source=one.speaker, speaker="") for one in read_folder(path)]
        if hold_out and not any(one.split == "valid" for one in recordings):
            unnamed = [one if one.split == "test" else replace(one, split="") for one in recordings]
            recordings = complete_splits(unnamed, FOLDER_SHARE, 0.0)
    else:
        recordings = read_cuts(path) if is_cuts(path) else read_manifest(path)
    recordings = _once(path, [one if one.split else replace(one, split="train") for one in recordings])
    crossing = speakers_across([one for one in recordings if one.kind == "speech"])
    if crossing:
        named = ", ".join(f"{name} ({'+'.join(splits)})" for name, splits in list(crossing.items())[:NAMED])
        logger.warning(
            "%s: %d speakers are in several splits, which makes scores too good: %s",
            path, len(crossing), named,
        )  # fmt: skip
    return recordings


def check_present(manifest: str, recordings: Sequence[Recording], folder: Path) -> None:
    """Check that all files exist; missing ones are listed in a file in `folder`.

    Raises:
        InputError: files are missing; gives their number and names the first.
    """
    missing = list(dict.fromkeys(str(one.path) for one in recordings if not one.path.is_file()))
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    listing = folder / MISSING_NAME
    with new_file(listing, overwrite=True) as part:
        part.write_text("\n".join([*missing, ""]), "utf-8", errors="surrogateescape")
    named = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
    raise InputError(
        f"{manifest}: {len(missing)} of {len(recordings)} files are missing: {named}; all are listed in"
        f" {listing}; correct the paths, which are relative to the manifest, or prepare the corpus again"
    )


def _once(manifest: Path, recordings: list[Recording]) -> list[Recording]:
    kept: dict[tuple[Path, tuple[float, float] | None], Recording] = {}
    for one in recordings:
        first = kept.setdefault((one.path, one.part), one)
        if first.split != one.split:
            raise InputError(
                f"{manifest}: {one.path} is in {first.split} and in {one.split}; keep one of the two lines"
            )
    if len(kept) < len(recordings):
        logger.warning(
            "%s: %d lines list a file again and are ignored", manifest, len(recordings) - len(kept)
        )
    return list(kept.values())
