"""Recordings of an environment made ready to fit and to judge, and the clean speech of the package."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiocodec import audio, pretrained
from audiocodec.adaptation.drift import find_baseline
from audiocodec.errors import AudioCodecError, InputError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor


CLIP_SECONDS = 8.0
"""Longest piece that is coded and scored as one."""
SHORTEST_SECONDS = 1.0
"""Of a piece: scores need a second or so."""
LIMIT_SECONDS = 1800.0
"""Of sound used; more gains little and takes longer."""
SILENT_PEAK = 1e-3
"""Pieces that never pass -60 dB of full scale are left out: no codebook should be fitted to nothing."""
JUDGED_SHARE = 0.3
"""Of the pieces that are held out."""
FEWEST_JUDGED = 6
"""Held-out pieces: with fewer, an interval of the mean says nothing."""


@dataclass(frozen=True, eq=False)
class SoundClip:
    """A piece of a recording.

    Attributes:
        name: of the file, and from which second.
        file: where it comes from.
        wav: [L] at `sample_rate`.
        sample_rate: Hz.
    """

    name: str
    file: str
    wav: NDArray[np.float32]
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.wav) / self.sample_rate


@dataclass(frozen=True, eq=False)
class SoundClips:
    """Pieces of recordings, and what could not be used.

    Attributes:
        clips: in the order of the files.
        skipped: why a file gave none, by its name.
    """

    clips: tuple[SoundClip, ...]
    skipped: dict[str, str]

    @property
    def seconds(self) -> float:
        """Duration of all pieces."""
        return sum(clip.seconds for clip in self.clips)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all samples; names and order of the files do not matter."""
        pieces = sorted(hashlib.sha256(clip.wav.astype("<f4").tobytes()).digest() for clip in self.clips)
        return hashlib.sha256(b"".join(pieces)).hexdigest()


def read_sound(
    files: Iterable[str | os.PathLike[str]],
    sample_rate: int,
    *,
    limit_seconds: float = LIMIT_SECONDS,
    progress: Callable[[float], None] = lambda share: None,
) -> SoundClips:
    """Read files, resample to `sample_rate`, and cut them into pieces; channels are pieces of their own.

    A file that cannot be read, is silent or too short is skipped with the reason. Where there is more than
    `limit_seconds`, every file gives the same share of it.
    """
    listed = list(files)
    clips, skipped = list[SoundClip](), dict[str, str]()
    for number, file in enumerate(listed, 1):
        name = os.fspath(file)
        try:
            new_clips = _clips_of(name, sample_rate)
        except AudioCodecError as error:
            skipped[name] = str(error).removeprefix(f"{name}: ")
            continue
        if not new_clips:
            skipped[name] = f"silent, or shorter than {SHORTEST_SECONDS:g} s"
        clips += new_clips
        progress(number / len(listed))
    total = sum(clip.seconds for clip in clips)
    if total > limit_seconds:
        every = total / limit_seconds
        clips = [
            clips[int(k * every)] for k in range(math.ceil(len(clips) / every)) if k * every < len(clips)
        ]
    return SoundClips(tuple(clips), skipped)


def divide(sound: SoundClips, seed: int = 0, share: float = JUDGED_SHARE) -> tuple[SoundClips, SoundClips]:
    """Hold a `share` out to judge with: whole files where there are at least 4, else the ends of all.

    Raises:
        InputError: too few pieces to hold any out; says what a piece is and how much sound is needed.
    """
    files = list(dict.fromkeys(clip.file for clip in sound.clips))
    wanted = max(FEWEST_JUDGED, round(share * len(sound.clips)))
    if len(sound.clips) < 2 * FEWEST_JUDGED:
        raise InputError(
            f"{sound.seconds:.0f} s of sound make {len(sound.clips)} pieces, at least {2 * FEWEST_JUDGED} are"
            f" needed: {FEWEST_JUDGED} to fit codebooks to and {FEWEST_JUDGED} to judge them with; files are"
            f" cut into equal pieces of at most {CLIP_SECONDS:g} s, so"
            f" {2 * FEWEST_JUDGED * CLIP_SECONDS:.0f} s that are not silent are always enough"
        )
    if len(files) >= 4:
        held = _hold_out_files(sound.clips, files, wanted, seed)
    else:
        held = {clip.name for file in files for clip in _ending(sound.clips, file, wanted / len(sound.clips))}
    return (
        SoundClips(tuple(clip for clip in sound.clips if clip.name not in held), sound.skipped),
        SoundClips(tuple(clip for clip in sound.clips if clip.name in held), {}),
    )


def _clips_of(file: str, sample_rate: int) -> list[SoundClip]:
    samples, rate = audio.read(file)
    samples = audio.resample(samples, rate, sample_rate)
    count = math.ceil(samples.shape[1] / (CLIP_SECONDS * sample_rate))
    clips: list[SoundClip] = []
    for channel, wav in enumerate(samples):
        start = 0
        for part in np.array_split(wav, count):
            suffix = f"/{channel}" if len(samples) > 1 else ""
            name = f"{file}@{start / sample_rate:.1f}{suffix}"
            start += len(part)
            if len(part) >= SHORTEST_SECONDS * sample_rate and np.abs(part).max() > SILENT_PEAK:
                clips.append(SoundClip(name, file, np.ascontiguousarray(part, np.float32), sample_rate))
    return clips


def _hold_out_files(clips: Sequence[SoundClip], files: Sequence[str], wanted: int, seed: int) -> set[str]:
    """Names of all pieces of as many files, drawn by `seed`, as give `wanted` pieces; two files are left."""
    rng = np.random.default_rng(seed)
    held: set[str] = set()
    for number in rng.permutation(len(files))[:-2]:
        if len(held) >= wanted:
            break
        held |= {clip.name for clip in clips if clip.file == files[number]}
    return held


def _ending(clips: Sequence[SoundClip], file: str, share: float) -> Sequence[SoundClip]:
    mine = [clip for clip in clips if clip.file == file]
    return mine[len(mine) - math.ceil(share * len(mine)) :]


FOLDER = "reference-speech"
SAMPLE_RATE = 16000


def clean_speech(
    model_id: str, sample_rate: int, model: str | None, folder: Path | None = None
) -> tuple[SoundClips, Tensor | None]:
    """Clean speech at `sample_rate` that a refresh must not make worse, and latents [M, D] of more of it.

    The speech is that in `folder`, or the package's own with the latents of `clean_reservoir`.

    Raises:
        InputError: none can be used, or the speech of the package has only half the band of this model.
    """
    if folder is None and sample_rate > SAMPLE_RATE:
        raise InputError(
            f"the clean speech of the package is at {SAMPLE_RATE} Hz, this model is at {sample_rate} Hz;"
            " name recordings of your own with --clean"
        )
    speech = read_sound(audio.find_audio([folder or pretrained.data_folder() / FOLDER]), sample_rate)
    if not speech.clips:
        why = "; ".join(f"{name}: {reason}" for name, reason in speech.skipped.items())
        raise InputError(f"no clean speech that can be used ({why}); name recordings with --clean")
    return speech, clean_reservoir(model, model_id) if folder is None else None


def clean_reservoir(model: str | None, model_id: str) -> Tensor | None:
    """A sample [M, D] of the latents of what a model was trained on, out of the baseline that comes with it.

    None where it has none. With it, far more of clean speech is known than a few pieces can show, and they
    can all be kept to judge with.
    """
    try:
        baseline = find_baseline(model)
    except (InputError, RegistryError):
        return None
    if baseline.model_id != model_id or not len(baseline.statistics.reservoir.vectors):
        return None
    return torch.from_numpy(baseline.statistics.reservoir.vectors.copy())
