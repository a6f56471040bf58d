"""Which recordings are evaluated, and where conditions take noise, babble and rooms from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path

from audiocodec import audio, corpus
from audiocodec.corpus import Recording
from audiocodec.effects.rooms import ensure_rooms
from audiocodec.effects.sources import (
    MAX_SPEECH_SECONDS,
    Sources,
    find_sources,
    limit_seconds,
    read_sources,
    read_types,
)
from audiocodec.errors import AudioCodecError, InputError

ROOMS, ROOM_RATE, ROOM_SEED = 24, 16000, 2_000_003
"""Simulated rooms: four near and four far of each size, with another seed than those of training."""


def read_recordings(data: Path, split: str | None = None) -> list[Recording]:
    """List the speech of a manifest or folder that belongs to `split` (None: all of it).

    Where no recording names a split, all of them are used.

    Raises:
        InputError: nothing is found; lists the splits there are.
    """
    speech = [one for one in corpus.read_recordings(data) if one.kind == "speech"]
    splits = sorted({one.split for one in speech} - {""})
    chosen = [one for one in speech if split is None or not splits or one.split == split]
    if not chosen:
        known = f"it has {', '.join(splits)}" if splits else "list some with kind `speech`"
        raise InputError(f"{data}: no speech of split {split!r}; {known}")
    return chosen


def as_recordings(files: Sequence[str | Path]) -> list[Recording]:
    """Files by their paths; nothing is known of who speaks."""
    return [Recording(Path(file).as_posix(), Path(file)) for file in files]


def choose(recordings: Sequence[Recording], limit: int | None) -> list[Recording]:
    """Take `limit` of them, always the same ones: a second one of a speaker only after one of everybody.

    Among speakers, corpora take turns. A larger limit keeps what a smaller one takes.
    """
    if limit is None or limit >= len(recordings):
        return list(recordings)
    rounds: list[dict[str, list[Recording]]] = []
    taken: Counter[tuple[str, str]] = Counter()
    for recording in sorted(recordings, key=lambda recording: sha256(os.fsencode(recording.name)).digest()):
        speaker = recording.source, recording.speaker or recording.name
        if taken[speaker] == len(rounds):
            rounds.append({})
        rounds[taken[speaker]].setdefault(recording.source, []).append(recording)
        taken[speaker] += 1
    turns = [
        turn for by_source in rounds for turn in zip_longest(*(by_source[name] for name in sorted(by_source)))
    ]
    kept = set([recording for turn in turns for recording in turn if recording is not None][:limit])
    return [recording for recording in recordings if recording in kept]


def open_sources(
    data: Path | None,
    split: str | None = None,
    recordings: Sequence[Recording] = (),
    folders: Sequence[tuple[str, Path]] = (),
) -> Sources:
    """What conditions take sound from.

    Args:
        data: a manifest, whose noise, music, room responses and speech of `split` are used.
        split: as for `read_recordings`.
        recordings: speech for babble where `data` is no manifest.
        folders: pairs of kind (noise, music, rir) and folder; noise named here replaces that of the manifest.

    Raises:
        InputError: a folder is not there or holds no sound, or the manifest cannot be read.
    """
    for kind, folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; name one with sound files of kind {kind}")
    replaced = {kind for kind, _ in folders}
    clips = [one for kind, folder in folders for one in find_sources(folder, kind)]
    if data is not None and data.is_file():
        clips += [one for one in read_sources(data, split, read_types()) if one.kind not in replaced]
    else:
        clips += [talker for one in recordings if (talker := _talker(one)) is not None]
    speech = limit_seconds([one for one in clips if one.kind == "speech"], MAX_SPEECH_SECONDS)
    return Sources([*(one for one in clips if one.kind != "speech"), *speech])


def with_rooms(sources: Sources, folder: Path, show: Callable[[float], None] = lambda share: None) -> Sources:
    """Add a bank of simulated rooms, which is kept in `folder`; none of them is used in training.

    Raises:
        MissingPackageError: pyroomacoustics is not installed.
        InputError: the folder cannot be written.
    """
    manifest = ensure_rooms(folder, ROOMS, ROOM_RATE, ROOM_SEED, show)
    return Sources([*sources.recordings, *read_sources(manifest)], sources.max_bytes)


def _talker(recording: Recording) -> Recording | None:
    """A recording as a talker of babble; None when it cannot be read, which its rows will say."""
    try:
        seconds = audio.info(recording.path).seconds
    except AudioCodecError:
        return None
    return replace(recording, seconds=seconds, speaker=recording.speaker or recording.name)
