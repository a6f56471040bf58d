"""Which recordings are held out: whole speakers, chosen by a hash, so that a corpus may grow."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

SPLITS = ("train", "valid", "test")
ALIASES = {
    "training": "train",
    "tr": "train",
    "dev": "valid",
    "val": "valid",
    "validation": "valid",
    "cv": "valid",
    "eval": "test",
    "evaluation": "test",
}
"""Other names of splits that corpora use."""


def split_named(name: str) -> str | None:
    """The split that a folder or field of this name means; None when it means none."""
    lower = name.lower()
    return lower if lower in SPLITS else ALIASES.get(lower)


def hashed_shares(valid: float, test: float) -> tuple[float, float]:
    """Check the shares of speakers that are held out.

    Raises:
        InputError: one is out of range, or nothing is left to train on.
    """
    if valid < 0 or test < 0 or valid + test >= 1:
        raise InputError(f"shares valid {valid:g} and test {test:g}; give two of 0 or more, together below 1")
    return valid, test


def split_by_hash(keys: Collection[str], valid: float, test: float) -> dict[str, str]:
    """Give every key (a speaker, or a file) its split.

    A key falls where its hash falls, so it stays there when others are added; about a share of `valid` and
    `test` of the keys is held out. Where by chance none was, the nearest key is taken, as long as one is left
    to train on: only in such small corpora can a new key move another.

    Raises:
        InputError: a share is out of range.
    """
    valid, test = hashed_shares(valid, test)
    places = {key: _place(key) for key in sorted(set(keys))}
    found = {
        key: "test" if place < test else "valid" if place < test + valid else "train"
        for key, place in places.items()
    }
    if found and "train" not in found.values():
        found[max(found, key=lambda key: places[key])] = "train"
    for split, share in (("valid", valid), ("test", test)):
        training = [key for key in found if found[key] == "train"]
        if share and split not in found.values() and len(training) > 1:
            found[min(training, key=lambda key: places[key])] = split
    return found


def speakers_across(rows: Iterable[tuple[str, str, str]]) -> dict[str, list[str]]:
    """Speakers that are in several splits, with these; rows are (source, speaker or '', split)."""
    seen: dict[str, set[str]] = defaultdict(set)
    for source, speaker, split in rows:
        if speaker:
            seen[f"{source}/{speaker}" if source else speaker].add(split)
    return {speaker: sorted(splits) for speaker, splits in sorted(seen.items()) if len(splits) > 1}


def _place(key: str) -> float:
    """A number in [0, 1) that looks drawn at random, the same on every machine."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) / 2**64
