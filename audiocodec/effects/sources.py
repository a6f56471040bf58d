"""Recordings that effects use (noise, music, speech for babble, room responses), decoded at first use."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from audiocodec import audio
from audiocodec.config import load_config, recipes_folder
from audiocodec.corpus import SPLITS, Recording, read_folder, read_manifest
from audiocodec.errors import AudioCodecError, InputError
from audiocodec.storage import real

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

KINDS = ("noise", "speech", "music", "rir")
"""Kinds of recordings that effects use; rir are room impulse responses."""
FULL_SCALE = 32767
DEFAULT_MAX_BYTES = 1 << 29
"""Decoded samples kept in memory: 4.6 hours at 16 kHz."""
MAX_CLIP_SECONDS = 600.0
"""Only the start of a longer recording is used."""
MAX_SPEECH_SECONDS = 3600.0
"""Limit of the speech for babble, so that all of it fits in memory; always the same recordings."""
CROSS_FADE_SECONDS = 0.05
"""Between the end and the start of a recording that is looped."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TypeMap:
    """Patterns such as `*street*` that give a type to recordings without one; the first match counts.

    A pattern is compared, in lower case, with each folder in the name of the recording (except train, valid
    and test), with its file name, and with its speaker, where manifests of room responses have the room.

    Attributes:
        noise: patterns of each type of noise.
        rir: patterns of each type of room response.
    """

    noise: dict[str, tuple[str, ...]]
    rir: dict[str, tuple[str, ...]]

    def type_of(self, recording: Recording) -> str | None:
        """The first type with a pattern that matches, else None."""
        types = {"noise": self.noise, "rir": self.rir}.get(recording.kind, {})
        parts = (part for part in recording.name.lower().split("/") if part not in SPLITS)
        texts = (*parts, recording.speaker.lower())
        for name, patterns in types.items():
            if any(fnmatchcase(text, pattern.lower()) for pattern in patterns for text in texts):
                return name
        return None


def read_types(path: Path | None = None) -> TypeMap:
    """Read a type map; without `path` the one of the package.

    Raises:
        ConfigError: it is missing or cannot be understood.
    """
    return load_config(TypeMap, path or recipes_folder() / "environments" / "types.yaml")


def read_sources(manifest: Path, split: str | None = None, types: TypeMap | None = None) -> list[Recording]:
    """List the recordings of a manifest that belong to `split` (None: all), with their types.

    A recording without a split is in all of them. A recording without a type gets one from `types`, else its
    source is its type. Recordings of a kind that is not in KINDS are left out.

    Raises:
        InputError: the file cannot be read, or a line, which is named, has no path.
    """
    return [
        _with_type(one, types, one.source)
        for one in read_manifest(manifest)
        if one.kind in KINDS and (split is None or one.split in ("", split))
    ]


def find_sources(folder: Path, kind: str, types: TypeMap | None = None) -> list[Recording]:
    """List the sound files of a folder tree as recordings of one kind.

    The type comes from `types`, else from the first folder below (except train, valid and test), else from
    the name without its number: street_03.wav is of type street. In a folder of speech, the first folder
    names the speaker.

    Raises:
        InputError: there is no sound file.
    """
    recordings: list[Recording] = []
    for one in read_folder(folder):
        group = one.speaker or re.sub(r"[-_. ]*\d*$", "", one.path.stem)
        speaker = one.speaker if kind == "speech" else ""
        recording = replace(one, kind=kind, speaker=speaker, source=folder.name)
        recordings.append(_with_type(recording, types, group))
    return recordings


def _with_type(recording: Recording, types: TypeMap | None, otherwise: str) -> Recording:
    known = recording.type or (types.type_of(recording) if types else None) or otherwise
    return replace(recording, type=known or recording.kind)


class Sources:
    """Pools of recordings by kind; samples are decoded at first use and kept as 16 bit up to `max_bytes`.

    Equal lists give equal draws on every machine: recordings are sorted by name, and names are drawn. The
    decoded samples are not pickled: each worker process decodes what it needs.

    Attributes:
        recordings: sorted by kind and name.
        max_bytes: of decoded samples in memory.
        used_bytes: of decoded samples in memory now.
        unreadable: by path, why a recording cannot be used.
    """

    def __init__(self, recordings: Iterable[Recording] = (), max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Hold these recordings; the least recently used samples are dropped beyond `max_bytes`.

        Raises:
            InputError: two recordings of a kind have the same name.
        """
        self.recordings = sorted(recordings, key=lambda recording: (recording.kind, recording.name))
        self.max_bytes = max_bytes
        self.unreadable: dict[str, str] = {}
        self._by_name = {(recording.kind, recording.name): recording for recording in self.recordings}
        if len(self._by_name) != len(self.recordings):
            seen: set[tuple[str, str]] = set()
            twice = next(r for r in self.recordings if (r.kind, r.name) in seen or seen.add((r.kind, r.name)))
            raise InputError(f"{twice.kind} {twice.name} is listed twice; give each recording once")
        self._matching: dict[tuple[Any, ...], list[Recording]] = {}
        self._decoded: OrderedDict[tuple[str, str, int], NDArray[np.int16]] = OrderedDict()
        self.used_bytes = 0

    @classmethod
    def open(
        cls,
        manifests: Sequence[Path] = (),
        folders: Mapping[str, Sequence[Path]] | None = None,
        split: str | None = "train",
        types: Path | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> Sources:
        """List the recordings of manifests, of `split` (None: all), and those of folders by kind.

        `types` is a YAML file of patterns that give a type to recordings without one (see `TypeMap`).

        Raises:
            InputError: a manifest or folder cannot be read, or holds a recording twice.
            ConfigError: `types` cannot be understood.
        """
        patterns = read_types(types)
        recordings = [recording for path in manifests for recording in read_sources(path, split, patterns)]
        for kind, paths in (folders or {}).items():
            for path in paths:
                prefix = f"{real(path).name}/" if len(paths) > 1 else ""
                of_folder = find_sources(path, kind, patterns)
                recordings += [replace(one, name=prefix + one.name) for one in of_folder]
        speech = limit_seconds([one for one in recordings if one.kind == "speech"], MAX_SPEECH_SECONDS)
        return cls([*(one for one in recordings if one.kind != "speech"), *speech], max_bytes)

    def types(self, kind: str) -> list[str]:
        """The types there are of a kind, sorted."""
        return sorted({recording.type for recording in self.recordings if recording.kind == kind})

    def find(self, kind: str, types: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> list[Recording]:
        """Recordings of a kind, sorted by name, whose type and name fit one of these patterns (none: all).

        Recordings that turned out unreadable are left out.

        Raises:
            InputError: there is none; says what types there are.
        """
        key = (kind, types, names)
        if key not in self._matching:
            self._matching[key] = [
                recording
                for recording in self.recordings
                if recording.kind == kind
                and (not types or any(fnmatchcase(recording.type, pattern) for pattern in types))
                and (not names or any(fnmatchcase(recording.name, pattern) for pattern in names))
            ]
        readable = [one for one in self._matching[key] if str(one.path) not in self.unreadable]
        if not readable:
            wanted = f" of type {', '.join(types)}" * bool(types) + f" named {', '.join(names)}" * bool(names)
            known = ", ".join(self.types(kind))
            hint = f"there are types {known}" if known else "give a manifest or folder with some"
            raise InputError(f"no recording of kind {kind}{wanted} among the sources; {hint}")
        return readable

    def draw_type(
        self, rng: np.random.Generator, kind: str, types: tuple[str, ...], names: tuple[str, ...]
    ) -> list[Recording]:
        """Draw a type among the recordings that `find` gives; returns the recordings of this type.

        Raises:
            InputError: as `find`.
        """
        choices = sorted({one.type for one in self.find(kind, types, names)})
        drawn = choices[int(rng.integers(len(choices)))]
        return [one for one in self.find(kind, (), names) if one.type == drawn]

    def samples(self, kind: str, name: str, sample_rate: int) -> NDArray[np.int16]:
        """The whole recording [L] at `sample_rate`, channels averaged (of a room response: the first).

        Raises:
            InputError: it is not known or cannot be read.
        """
        key = (kind, name, sample_rate)
        if key in self._decoded:
            self._decoded.move_to_end(key)
            return self._decoded[key]
        if (kind, name) not in self._by_name:
            raise InputError(f"no {kind} {name} among the sources; open those it was drawn from")
        samples = _decode(self._by_name[kind, name], sample_rate)
        self._decoded[key] = samples
        self.used_bytes += samples.nbytes
        while self.used_bytes > self.max_bytes and len(self._decoded) > 1:
            self.used_bytes -= self._decoded.popitem(last=False)[1].nbytes
        return samples

    def draw(
        self, rng: np.random.Generator, recordings: Sequence[Recording], sample_rate: int
    ) -> tuple[Recording, NDArray[np.int16]]:
        """Draw one of `recordings`; one that cannot be read is logged, left out from then on, and replaced.

        Raises:
            InputError: none can be read.
        """
        left = [recording for recording in recordings if str(recording.path) not in self.unreadable]
        while left:
            recording = left[int(rng.integers(len(left)))]
            if self._readable(recording, sample_rate):
                return recording, self.samples(recording.kind, recording.name, sample_rate)
            left.remove(recording)
        raise InputError(f"none of {len(recordings)} recordings can be read; the first: {recordings[0].path}")

    def preload(
        self,
        sample_rate: int,
        kinds: Sequence[str] = KINDS,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Decode recordings of these kinds now instead of at first use, until `max_bytes` are full.

        Unreadable recordings are logged and left out. `progress` is called with the share that is done.
        """
        recordings = [recording for recording in self.recordings if recording.kind in kinds]
        for number, recording in enumerate(recordings, 1):
            if self.used_bytes >= self.max_bytes:
                logger.info(
                    "sources: %d of %d recordings fill the memory for them", number - 1, len(recordings)
                )
                return
            self._readable(recording, sample_rate)
            if progress is not None:
                progress(number / len(recordings))

    def excerpt(self, kind: str, name: str, sample_rate: int, start: int, length: int) -> NDArray[np.float32]:
        """Samples [length] from `start` on; a recording that ends before is looped with a cross-fade.

        Raises:
            InputError: as `samples`.
        """
        samples = self.samples(kind, name, sample_rate)
        part = samples[start : start + length]
        if len(part) < length:
            part = loop(samples, start, length, round(CROSS_FADE_SECONDS * sample_rate))
        return part.astype(np.float32) * np.float32(1 / FULL_SCALE)

    def _readable(self, recording: Recording, sample_rate: int) -> bool:
        """Decode a recording; one that cannot be decoded is logged and added to `unreadable`."""
        try:
            self.samples(recording.kind, recording.name, sample_rate)
        except AudioCodecError as error:
            self.unreadable[str(recording.path)] = str(error)
            logger.warning("left out: %s", error)
            return False
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {"recordings": self.recordings, "max_bytes": self.max_bytes, "unreadable": self.unreadable}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["recordings"], state["max_bytes"])
        self.unreadable = state["unreadable"]


def limit_seconds(recordings: Iterable[Recording], seconds: float) -> list[Recording]:
    """Recordings that last `seconds` at most together, in the order of a checksum of their names."""
    kept: list[Recording] = []
    for recording in sorted(
        recordings,
        key=lambda recording: (crc32(recording.name.encode("utf-8", "surrogateescape")), recording.name),
    ):
        length = recording.seconds or audio.info(recording.path).seconds
        if length <= seconds:
            kept.append(recording)
            seconds -= length
    return kept


def loop(samples: NDArray[np.int16], start: int, length: int, fade: int) -> NDArray[np.float32]:
    """Loop `samples` [L] from `start` on; the last and the first `fade` samples overlap at equal power."""
    fade = min(fade, len(samples) // 2)
    angle = (np.arange(fade) + 0.5) / max(fade, 1) * (np.pi / 2)
    cycle = samples[fade:].astype(np.float32)
    if fade:
        cycle[-fade:] = cycle[-fade:] * np.cos(angle) + samples[:fade] * np.sin(angle)
    return cycle[(start - fade + np.arange(length)) % len(cycle)]


def _decode(recording: Recording, sample_rate: int) -> NDArray[np.int16]:
    about = audio.info(recording.path)
    wav, rate = audio.read(recording.path, 0, min(about.length, int(MAX_CLIP_SECONDS * about.sample_rate)))
    # Channels of a room response have different delays: their mean would be a comb filter.
    mono = wav[:1] if recording.kind == "rir" else np.concatenate(list(audio.mono([wav], recording.path)))
    mono = audio.resample(mono, rate, sample_rate)[0]
    if not np.any(mono):
        raise InputError(f"{recording.path}: silent from start to end; remove it")
    return np.rint(np.clip(mono, -1, 1) * FULL_SCALE).astype(np.int16)
