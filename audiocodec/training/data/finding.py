"""The recordings that a recipe means, whatever form they are named in, looked over before training starts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.errors import InputError
from audiocodec.storage import new_file
from audiocodec.training.data.corpora import find_corpus, read_corpus
from audiocodec.training.data.cuts import is_cuts, read_cuts
from audiocodec.training.data.manifest import Recording, read_folder, read_recordings
from audiocodec.training.data.splits import speakers_across

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMED = 20
"""Missing files, speakers and the like that a message names; a file lists all that are missing."""
MISSING_NAME = "missing-recordings.txt"

logger = logging.getLogger(__name__)


def find_recordings(manifest: str, corpus: str = "", hold_out: bool = True) -> list[Recording]:
    """List the recordings of a manifest, a folder, a folder in the layout of `corpus`, or of Lhotse's cuts.

    A file or part of one that is named twice counts once; a speaker in several splits is a warning.
    `hold_out`: whether some files of a plain folder become split valid.

    Raises:
        InputError: it is missing or cannot be understood.
        ConfigError: there is no such corpus.
    """
    path = Path(manifest)
    if corpus:
        found = read_corpus(path, find_corpus(corpus))
    elif path.is_dir():
        found = read_folder(path, hold_out)
    else:
        found = read_cuts(path) if is_cuts(path) else read_recordings(path)
    found = _once(path, found)
    crossing = speakers_across((one.source, one.speaker, one.split) for one in found if one.kind == "speech")
    if crossing:
        named = ", ".join(f"{name} ({'+'.join(splits)})" for name, splits in list(crossing.items())[:NAMED])
        logger.warning(
            "%s: %d speakers are in several splits, which makes scores too good: %s",
            path, len(crossing), named,
        )  # fmt: skip
    return found


def check_present(manifest: str, recordings: Sequence[Recording], folder: Path) -> None:
    """Refuse to start when files are missing; all of them are listed in a file in `folder`.

    Raises:
        InputError: names the first of them, and how many there are.
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
        f" {listing}; correct the paths, which are relative to the manifest, or prepare the corpus anew"
    )


def _once(manifest: Path, recordings: list[Recording]) -> list[Recording]:
    found: dict[tuple[Path, tuple[float, float] | None], Recording] = {}
    for one in recordings:
        first = found.setdefault((one.path, one.part), one)
        if first.split != one.split:
            raise InputError(
                f"{manifest}: {one.path} is in {first.split} and in {one.split}; keep one of the two lines"
            )
    if len(found) < len(recordings):
        logger.warning(
            "%s: %d lines name a file again, and do not count", manifest, len(recordings) - len(found)
        )
    return list(found.values())
