"""Which recordings are evaluated, who speaks in them, and where noise, babble and rooms come from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any

from audiocodec import audio
from audiocodec.audio.manifest import read_lines
from audiocodec.effects.clips import Clip, find_clips, read_clips, read_types
from audiocodec.effects.rooms import ensure_rooms
from audiocodec.effects.sources import MAX_SPEECH_SECONDS, Sources, limit_seconds
from audiocodec.errors import AudioCodecError, InputError

SPLITS = ("train", "valid", "test")
ROOMS, ROOM_RATE, ROOM_SEED = 24, 16000, 2_000_003
"""Simulated rooms: four near and four far of each size, with another seed than those of training."""


@dataclass(frozen=True)
class Recording:
    """One file to evaluate.

    Attributes:
        name: what rows call it: its path in the manifest or below the folder, with forward slashes.
        path: where it is.
        speaker: who speaks; empty when not known.
        language: empty when not known.
        source: the corpus it comes from; empty when not known.
    """

    name: str
    path: Path
    speaker: str = ""
    language: str = ""
    source: str = ""

    def stat(self) -> tuple[int, int]:
        """Size in bytes and time of change in ns; zeros for a missing file, as its rows will say."""
        return audio.stamp(self.path)


def read_recordings(data: Path, split: str | None = None) -> list[Recording]:
    """List the speech of a manifest or folder that belongs to `split` (None: all of it).

    In a folder, folders named train, valid or test say the split, and a tree without these has none; the
    first other folder names the speaker. Columns of a manifest: path, split, kind, speaker, language, source.

    Raises:
        InputError: nothing is found; lists the splits there are.
    """
    found = _in_folder(data) if data.is_dir() else _in_manifest(data)
    splits = sorted({part for part, _ in found if part})
    chosen = [recording for part, recording in found if split is None or not splits or part == split]
    if not chosen:
        known = f"it has {', '.join(splits)}" if splits else "list some with kind `speech`"
        raise InputError(f"{data}: no speech of split {split!r}; {known}")
    return chosen


def _in_folder(folder: Path) -> list[tuple[str, Recording]]:
    found: list[tuple[str, Recording]] = []
    for path in audio.find_audio([folder]):
        below = path.relative_to(folder)
        split = next((part for part in below.parts[:-1] if part in SPLITS), "")
        speaker = next((part for part in below.parts[:-1] if part not in SPLITS), "")
        found.append((split, Recording(below.as_posix(), path, speaker)))
    return found


def _in_manifest(manifest: Path) -> list[tuple[str, Recording]]:
    found: list[tuple[str, Recording]] = []
    for _, columns in read_lines(manifest):
        split, kind, speaker, language, source = (
            _text(columns, name) for name in ("split", "kind", "speaker", "language", "source")
        )
        if kind in ("", "speech"):
            path = manifest.parent / columns["path"]
            found.append((split, Recording(columns["path"], path, speaker, language, source)))
    return found


def _text(columns: dict[str, Any], name: str) -> str:
    return str(columns.get(name) or "")


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
    heard: Counter[tuple[str, str]] = Counter()
    for recording in sorted(recordings, key=lambda recording: sha256(os.fsencode(recording.name)).digest()):
        speaker = recording.source, recording.speaker or recording.name
        if heard[speaker] == len(rounds):
            rounds.append({})
        rounds[heard[speaker]].setdefault(recording.source, []).append(recording)
        heard[speaker] += 1
    order = [one for sources in rounds for one in _round_robin([sources[name] for name in sorted(sources)])]
    kept = set(order[:limit])
    return [recording for recording in recordings if recording in kept]


def _round_robin(groups: Sequence[Sequence[Recording]]) -> list[Recording]:
    return [recording for turn in zip_longest(*groups) for recording in turn if recording is not None]


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
    types = read_types()
    replaced = {kind for kind, _ in folders}
    clips = [clip for kind, folder in folders for clip in find_clips(folder, kind)]
    if data is not None and data.is_file():
        splits = [split] if split and any(columns.get("split") for _, columns in read_lines(data)) else []
        clips += [clip for clip in read_clips(data, splits, types) if clip.kind not in replaced]
    else:
        clips += [clip for recording in recordings if (clip := _speech_clip(recording)) is not None]
    speech = limit_seconds([clip for clip in clips if clip.kind == "speech"], MAX_SPEECH_SECONDS)
    return Sources([*(clip for clip in clips if clip.kind != "speech"), *speech])


def with_rooms(sources: Sources, folder: Path, show: Callable[[float], None] = lambda share: None) -> Sources:
    """Add a bank of simulated rooms, which is kept in `folder`; none of them is used in training.

    Raises:
        MissingPackageError: pyroomacoustics is not installed.
        InputError: the folder cannot be written.
    """
    manifest = ensure_rooms(folder, ROOMS, ROOM_RATE, ROOM_SEED, show)
    return Sources([*sources.clips, *read_clips(manifest)], sources.max_bytes)


def _speech_clip(recording: Recording) -> Clip | None:
    """A recording as a talker of babble; None when it cannot be read, which its rows will say."""
    clip = Clip(recording.name, recording.path, "speech", speaker=recording.speaker or recording.name)
    try:
        return replace(clip, seconds=audio.info(recording.path).seconds)
    except AudioCodecError:
        return None
