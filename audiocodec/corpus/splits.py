"""Splits: train, valid and test. Whole speakers are held out, by a hash, so that a corpus may grow."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from audiocodec.corpus.manifest import SPLITS, Recording
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

VALID_SHARE = TEST_SHARE = 0.05
"""Default share of the speakers that is held out of a corpus without splits."""
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
    """The split that the name of a folder or the value of a field means; None if it means none."""
    lower = name.lower()
    return lower if lower in SPLITS else ALIASES.get(lower)


def complete_splits(
    recordings: Sequence[Recording], valid: float = VALID_SHARE, test: float = TEST_SHARE
) -> list[Recording]:
    """Give a split to each recording that has none.

    It is the split of other recordings of its speaker, if they have one, else it follows from a hash of
    source and speaker. For an unknown speaker it follows from a hash of the names of folder and file, so that
    moving the corpus changes nothing.

    Raises:
        InputError: a share is out of range.
    """
    known: dict[str, str] = {}
    for recording in recordings:
        if recording.split and recording.speaker:
            known.setdefault(_key(recording), recording.split)
    unnamed = {_key(recording) for recording in recordings if not recording.split}
    known |= split_by_hash(unnamed - set(known), valid, test)
    return [one if one.split else replace(one, split=known[_key(one)]) for one in recordings]


def check_shares(valid: float, test: float) -> None:
    """Check the shares of speakers that are held out.

    Raises:
        InputError: a share is out of range, or nothing is left to train on.
    """
    if not (valid >= 0 and test >= 0 and valid + test < 1):
        raise InputError(f"shares valid {valid:g} and test {test:g}; give two of 0 or more, together below 1")


def split_by_hash(keys: Collection[str], valid: float, test: float) -> dict[str, str]:
    """Give every key (a speaker, or a file) its split.

    The split of a key follows from its hash, so that new keys do not change it. About the shares `valid` and
    `test` of the keys are held out. If a small corpus would have no key in a split, the key with the nearest
    hash is moved there, as long as one is left to train on; only then can new keys change other splits.

    Raises:
        InputError: a share is out of range.
    """
    check_shares(valid, test)
    places = {key: _place(key) for key in sorted(set(keys))}
    splits = {
        key: "test" if place < test else "valid" if place < test + valid else "train"
        for key, place in places.items()
    }
    if splits and "train" not in splits.values():
        splits[max(splits, key=lambda key: places[key])] = "train"
    for split, share in (("valid", valid), ("test", test)):
        training = [key for key in splits if splits[key] == "train"]
        if share and split not in splits.values() and len(training) > 1:
            splits[min(training, key=lambda key: places[key])] = split
    return splits


def speakers_across(recordings: Collection[Recording]) -> dict[str, list[str]]:
    """Speakers that are in several splits, with these splits."""
    seen: dict[str, set[str]] = defaultdict(set)
    for one in recordings:
        if one.speaker:
            seen[f"{one.source}/{one.speaker}" if one.source else one.speaker].add(one.split)
    return {speaker: sorted(splits) for speaker, splits in sorted(seen.items()) if len(splits) > 1}


def _key(recording: Recording) -> str:
    if recording.speaker:
        return f"{recording.source}/{recording.speaker}"
    return f"{recording.path.parent.name}/{recording.path.name}"


def _place(key: str) -> float:
    """A hash in [0, 1), the same on every machine."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8]) / 2**64
