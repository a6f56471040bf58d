"""Where noise, speech for babble, music and room responses come from: pools of recordings, decoded lazily."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from audiocodec import audio
from audiocodec.effects.clips import Clip, find_clips, read_clips, read_types
from audiocodec.errors import AudioCodecError, InputError
from audiocodec.storage import real

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

FULL_SCALE = 32767
DEFAULT_MAX_BYTES = 1 << 29
"""Of decoded samples kept in memory: 4.6 hours at 16 kHz."""
MAX_CLIP_SECONDS = 600.0
"""Of a longer recording, its start is used."""
MAX_SPEECH_SECONDS = 3600.0
"""Of speech for babble, so that all of it stays in memory; whole recordings, the same ones every time."""
CROSS_FADE_SECONDS = 0.05
"""Where a recording that is too short starts again."""

logger = logging.getLogger(__name__)


class Sources:
    """Pools of recordings by kind; samples are decoded at first use and kept as 16 bit up to `max_bytes`.

    Equal clips give equal draws on every machine: they are sorted by name, and names are what is drawn.
    Pickles without the decoded samples, so that each worker process decodes what it needs.

    Attributes:
        clips: sorted by kind and name.
        max_bytes: of decoded samples in memory.
        used_bytes: of decoded samples in memory now.
        unreadable: why a recording is left out, by its path.
    """

    def __init__(self, clips: Iterable[Clip] = (), max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Hold these clips; the least recently used samples are dropped beyond `max_bytes`.

        Raises:
            InputError: two recordings of a kind have the same name.
        """
        self.clips = sorted(clips, key=lambda clip: (clip.kind, clip.name))
        self.max_bytes = max_bytes
        self.unreadable: dict[str, str] = {}
        self._by_name = {(clip.kind, clip.name): clip for clip in self.clips}
        if len(self._by_name) != len(self.clips):
            seen: set[tuple[str, str]] = set()
            twice = next(c for c in self.clips if (c.kind, c.name) in seen or seen.add((c.kind, c.name)))
            raise InputError(f"{twice.kind} {twice.name} is listed twice; give each recording once")
        self._found: dict[tuple[Any, ...], list[Clip]] = {}
        self._decoded: OrderedDict[tuple[str, str, int], NDArray[np.int16]] = OrderedDict()
        self.used_bytes = 0

    @classmethod
    def open(
        cls,
        manifests: Sequence[Path] = (),
        folders: Mapping[str, Sequence[Path]] | None = None,
        splits: Sequence[str] = ("train",),
        types: Path | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> Sources:
        """List the recordings of manifests (of these splits; none: all) and of folders by kind.

        `types` is a YAML file of patterns that say the type of recordings which do not say it themselves.

        Raises:
            InputError: a manifest or folder cannot be read, or holds a recording twice.
            ConfigError: `types` cannot be understood.
        """
        patterns = read_types(types)
        clips = [clip for path in manifests for clip in read_clips(path, splits, patterns)]
        for kind, paths in (folders or {}).items():
            for path in paths:
                found = find_clips(path, kind, patterns)
                prefix = f"{real(path).name}/" if len(paths) > 1 else ""
                clips += [replace(clip, name=prefix + clip.name) for clip in found]
        speech = limit_seconds([clip for clip in clips if clip.kind == "speech"], MAX_SPEECH_SECONDS)
        return cls([*(clip for clip in clips if clip.kind != "speech"), *speech], max_bytes)

    def types(self, kind: str) -> list[str]:
        """The types there are of a kind, sorted."""
        return sorted({clip.type for clip in self.clips if clip.kind == kind})

    def find(self, kind: str, types: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> list[Clip]:
        """Clips of a kind, in order of name, whose type and name fit one of these patterns each (none: all).

        Recordings that turned out unreadable are left out.

        Raises:
            InputError: there is none; says what types there are.
        """
        key = (kind, types, names)
        if key not in self._found:
            self._found[key] = [
                clip
                for clip in self.clips
                if clip.kind == kind
                and (not types or any(fnmatchcase(clip.type, pattern) for pattern in types))
                and (not names or any(fnmatchcase(clip.name, pattern) for pattern in names))
            ]
        found = [clip for clip in self._found[key] if str(clip.path) not in self.unreadable]
        if not found:
            asked = f" of type {', '.join(types)}" * bool(types) + f" named {', '.join(names)}" * bool(names)
            known = ", ".join(self.types(kind))
            hint = f"there are types {known}" if known else "give a manifest or folder that holds some"
            raise InputError(f"no recording of kind {kind}{asked} among the sources; {hint}")
        return found

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
        self, rng: np.random.Generator, clips: Sequence[Clip], sample_rate: int
    ) -> tuple[Clip, NDArray[np.int16]]:
        """Draw one of `clips` that can be read; others are logged once, and left out from then on.

        Raises:
            InputError: none can be read.
        """
        left = [clip for clip in clips if str(clip.path) not in self.unreadable]
        while left:
            clip = left[int(rng.integers(len(left)))]
            if self._readable(clip, sample_rate):
                return clip, self.samples(clip.kind, clip.name, sample_rate)
            left.remove(clip)
        raise InputError(f"none of {len(clips)} recordings can be read; the first: {clips[0].path}")

    def preload(
        self,
        sample_rate: int,
        kinds: Sequence[str] = ("noise", "music", "speech", "rir"),
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Decode all recordings of these kinds now, as far as `max_bytes` allow, rather than at first use.

        Unreadable ones are logged and left out. `progress` is told the share that is done.
        """
        clips = [clip for clip in self.clips if clip.kind in kinds]
        for number, clip in enumerate(clips, 1):
            if self.used_bytes >= self.max_bytes:
                logger.info(
                    "sources: %d of %d recordings fill the memory they may take", number - 1, len(clips)
                )
                return
            self._readable(clip, sample_rate)
            if progress is not None:
                progress(number / len(clips))

    def excerpt(self, kind: str, name: str, sample_rate: int, start: int, length: int) -> NDArray[np.float32]:
        """Samples [length] from `start` on; after its end a recording starts again, cross-faded.

        Raises:
            InputError: as `samples`.
        """
        samples = self.samples(kind, name, sample_rate)
        part = samples[start : start + length]
        if len(part) < length:
            part = loop(samples, start, length, round(CROSS_FADE_SECONDS * sample_rate))
        return part.astype(np.float32) * np.float32(1 / FULL_SCALE)

    def _readable(self, clip: Clip, sample_rate: int) -> bool:
        """Decode it; one that cannot be decoded is logged and noted in `unreadable`."""
        try:
            self.samples(clip.kind, clip.name, sample_rate)
        except AudioCodecError as error:
            self.unreadable[str(clip.path)] = str(error)
            logger.warning("left out: %s", error)
            return False
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {"clips": self.clips, "max_bytes": self.max_bytes, "unreadable": self.unreadable}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["clips"], state["max_bytes"])
        self.unreadable = state["unreadable"]


def limit_seconds(clips: Iterable[Clip], seconds: float) -> list[Clip]:
    """As many recordings as `seconds` hold, drawn by a checksum of their names: the same on every machine."""
    kept: list[Clip] = []
    for clip in sorted(
        clips, key=lambda clip: (crc32(clip.name.encode("utf-8", "surrogateescape")), clip.name)
    ):
        length = clip.seconds or audio.info(clip.path).seconds
        if length <= seconds:
            kept.append(clip)
            seconds -= length
    return kept


def loop(samples: NDArray[np.int16], start: int, length: int, fade: int) -> NDArray[np.float32]:
    """Go round `samples` [L] from `start`: its last `fade` samples and its first overlap, at equal power."""
    fade = min(fade, len(samples) // 2)
    angle = (np.arange(fade) + 0.5) / max(fade, 1) * (np.pi / 2)
    cycle = samples[fade:].astype(np.float32)
    if fade:
        cycle[-fade:] = cycle[-fade:] * np.cos(angle) + samples[:fade] * np.sin(angle)
    return cycle[(start - fade + np.arange(length)) % len(cycle)]


def _decode(clip: Clip, sample_rate: int) -> NDArray[np.int16]:
    found = audio.info(clip.path)
    wav, rate = audio.read(clip.path, 0, min(found.length, int(MAX_CLIP_SECONDS * found.sample_rate)))
    # Channels of a room response have different delays: their mean would be a comb filter.
    mono = wav[:1] if clip.kind == "rir" else np.concatenate(list(audio.mono([wav], clip.path)))
    mono = audio.resample(mono, rate, sample_rate)[0]
    if not np.any(mono):
        raise InputError(f"{clip.path}: silent from start to end; remove it")
    return np.rint(np.clip(mono, -1, 1) * FULL_SCALE).astype(np.int16)
