"""What a codec's audio looks like when all is well, how much windows of it differ by chance, and its file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audiocodec import pretrained
from audiocodec.adaptation.drift.measures import (
    CODE_MEASURES,
    ERROR_MEASURES,
    LATENT_MEASURES,
    Measures,
    compare,
)
from audiocodec.adaptation.drift.null import NullDistribution
from audiocodec.adaptation.statistics import Statistics
from audiocodec.adaptation.statistics.recordings import Frames, RecordingSamples, encode_frames, statistics_of
from audiocodec.adaptation.statistics.statistics import from_arrays, read_file, to_arrays, write_file
from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED

if TYPE_CHECKING:
    from audiocodec.codec import Codec


MIN_SECONDS = 30.0
"""Audible audio that a baseline needs."""
BASELINE_SAMPLE = 2500
"""Latents that a baseline keeps: with them it stays below 2 MB."""
WINDOW_SAMPLE = 1024
"""Latents of a window that are kept for distances of samples."""
NULL_SECONDS = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
"""Lengths of the random windows of a null distribution; those that exceed half of the audio are left out."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """What the audio of one environment looks like to a codec, and how much its windows vary by chance.

    Attributes:
        name: name of the environment, such as "clean".
        statistics: statistics of all its audio.
        null: drift measures of windows of the same audio, which have not drifted.
        facts: origin, for people: data, date, model.
    """

    name: str
    statistics: Statistics
    null: NullDistribution
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def model_id(self) -> str:
        """Identity of the model."""
        return self.statistics.model_id

    @property
    def codebook_id(self) -> str:
        """Identity of the codebooks that chose its codes."""
        return self.statistics.codebook_id

    @property
    def shortest_seconds(self) -> float:
        """Length of the shortest window whose drift can be judged, in seconds."""
        return self.null.lengths[0] / self.statistics.frame_rate

    def compare(self, window: Statistics) -> Measures:
        """Measure the drift of a window.

        Raises:
            InputError: the window was coded with another model, or is too short.
        """
        self.null.check_frames(window.frames, window.frame_rate)
        return compare(self.statistics, window)


def make_baseline(
    codec: Codec,
    wavs: Iterable[RecordingSamples],
    held_out: Iterable[RecordingSamples] = (),
    *,
    rng: np.random.Generator,
    name: str = "clean",
    null_seconds: Sequence[float] = NULL_SECONDS,
    null_windows: int = 250,
    facts: Mapping[str, Any] | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Baseline:
    """Describe recordings, and how much windows of the same kind differ from them by chance.

    `null_windows` random windows of each length in `null_seconds` are drawn from `held_out`, to which the
    codebooks should not have been fitted. Without it, the recordings are divided into two halves, and windows
    of each half are compared with the other.

    Raises:
        InputError: there is less than 30 s of audible audio, or a recording cannot be used.
    """
    parts = list(encode_frames(codec, wavs))
    check_enough(parts)
    judged = list(encode_frames(codec, held_out))
    everything = statistics_of(codec, parts, rng, BASELINE_SAMPLE)
    if judged:
        check_enough(judged)
        sides = [(everything, Frames.join(judged))]
    else:
        first, second = _halves(parts)
        sides = [
            (statistics_of(codec, one, rng, BASELINE_SAMPLE), Frames.join(other))
            for one, other in ((first, second), (second, first))
        ]
    null = draw_null(codec, sides, null_seconds, null_windows, rng, progress)
    return Baseline(name, everything, null, {"seconds": round(everything.seconds, 1), **(facts or {})})


def draw_null(
    codec: Codec,
    sides: Sequence[tuple[Statistics, Frames]],
    null_seconds: Sequence[float],
    null_windows: int,
    rng: np.random.Generator,
    progress: Callable[[float], None] = lambda share: None,
) -> NullDistribution:
    """Compare windows out of frames with the statistics beside them, drawn from each side in turn."""
    rate = codec.model.frame_rate
    shortest = min(len(frames) for _, frames in sides)
    lengths = sorted({round(seconds * rate) for seconds in null_seconds if seconds * rate <= shortest / 2})
    drawn: list[list[Measures]] = []
    for done, length in enumerate(lengths):
        of_length: list[Measures] = []
        for number in range(null_windows):
            reference, frames = sides[number % len(sides)]
            window = statistics_of(codec, draw_window(frames, length, rng), rng, WINDOW_SAMPLE)
            of_length.append(compare(reference, window))
            progress((done + (number + 1) / null_windows) / len(lengths))
        drawn.append(of_length)
    samples = {
        name: np.array([[measures.values[name] for measures in of_length] for of_length in drawn], np.float32)
        for name in drawn[0][0].values
    }
    return NullDistribution(tuple(lengths), samples)


def draw_window(frames: Frames, length: int, rng: np.random.Generator) -> list[Frames]:
    """Stretches of together `length` frames, as long as a quarter of the audio allows."""
    count = math.ceil(length / max(1, len(frames) // 4))
    sizes = [len(part) for part in np.array_split(np.arange(length), count)]
    return [frames.around(int(rng.integers(len(frames))), size) for size in sizes]


def check_enough(parts: Sequence[Frames], needed: float = MIN_SECONDS) -> None:
    """Refuse audio that is too short or mostly silent.

    Raises:
        InputError: it says how much audio there is and how much is needed.
    """
    audible = sum(part.audible_seconds for part in parts)
    if audible < needed:
        what = "only silence" if not audible else f"{audible:.1f} s that can be heard"
        raise InputError(f"too little audio: {what}; a baseline needs {needed:.0f} s louder than -60 dB")


def _halves(parts: Sequence[Frames]) -> tuple[list[Frames], list[Frames]]:
    """Divide recordings into two halves of about equal length; one long recording is cut in the middle."""
    half = sum(len(part) for part in parts) // 2
    longest = max(len(part) for part in parts)
    if longest > half:
        whole = Frames.join(parts)
        return [whole.cut(0, half)], [whole.cut(half, len(whole))]
    return list(parts[::2]), list(parts[1::2])


BASELINE_NAME = "baseline.safetensors"
"""Beside the weights of a model."""
MAX_NAME_LENGTH = 64
MAX_FRAMES = 1 << 40
"""Of a window."""
_NULL = "null."
_KINDS = {"scatters": np.float32, "means": np.float32, "reservoir": np.float16, "reservoir_keys": np.float32}
_COUNTS = ("counts", "bigrams", "repeats", "error_histograms")


def save_baseline(path: str | os.PathLike[str], baseline: Baseline, *, overwrite: bool = False) -> None:
    """Write a baseline to a file, whole or not at all.

    Raises:
        InputError: the file exists already, or cannot be written.
    """
    arrays, facts = to_arrays(baseline.statistics)
    for name, kind in _KINDS.items():
        arrays[name] = arrays[name].astype(kind)
    for name in _COUNTS:
        arrays[name] = arrays[name].astype(np.uint32)
    arrays |= {_NULL + name: drawn.astype(np.float16) for name, drawn in baseline.null.samples.items()}
    document = {
        "name": baseline.name,
        "lengths": list(baseline.null.lengths),
        "facts": dict(baseline.facts),
        "statistics": facts,
    }
    write_file(path, "baseline", arrays, document, overwrite)


def load_baseline(path: str | os.PathLike[str]) -> Baseline:
    """Read a baseline from a file.

    Raises:
        InputError: the file is missing, damaged, too large or of another kind.
    """
    arrays, document = read_file(Path(path), "baseline")
    try:
        null = {name.removeprefix(_NULL): arrays.pop(name) for name in list(arrays) if name.startswith(_NULL)}
        statistics = from_arrays(arrays, document["statistics"])
        name, facts = str(document["name"]), dict(document["facts"])
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH:
            raise InputError(f"its name must be 1 to {MAX_NAME_LENGTH} printable characters")
        return Baseline(
            name,
            statistics,
            _null(null, document["lengths"], statistics.num_quantizers, len(statistics.stages)),
            facts,
        )
    except MALFORMED as error:
        raise InputError(f"{path}: damaged ({error}); make the baseline again") from error


def find_baseline(model: str | os.PathLike[str] | None = None) -> Baseline:
    """The baseline that comes with a model: a pretrained one by name (None: the default), or a model folder.

    Raises:
        InputError: the model has no baseline; the message says how to make one.
        RegistryError: the model does not exist, or its files were changed.
    """
    path = pretrained.find(pretrained.default_model() if model is None else os.fspath(model))
    folder = path if path.is_dir() else path.parent
    if not (folder / BASELINE_NAME).is_file():
        raise InputError(
            f"{folder}: the model has no {BASELINE_NAME}; make one of clean audio with audiocodec"
            " baseline DIR -o FILE, and name it with --baseline"
        )
    return load_baseline(folder / BASELINE_NAME)


def _null(
    arrays: dict[str, NDArray[Any]], lengths: list[Any], num_quantizers: int, stages: int
) -> NullDistribution:
    sizes: dict[str, int] = dict.fromkeys(map(str, CODE_MEASURES), num_quantizers)
    sizes |= dict.fromkeys(ERROR_MEASURES, stages)
    sizes |= dict.fromkeys(LATENT_MEASURES, 1)
    if not arrays or not lengths or sorted({int(length) for length in lengths}) != lengths or lengths[0] < 1:
        raise InputError("it has no null distribution")
    windows = next(iter(arrays.values())).shape[1]
    if windows < 1 or lengths[-1] > MAX_FRAMES:
        raise InputError("its null distribution has no windows, or windows of an impossible length")
    if arrays.keys() != sizes.keys():
        differing = ", ".join(sorted(arrays.keys() ^ sizes.keys()))
        raise InputError(f"it lacks null distributions, or has unknown ones: {differing}")
    samples = {name: drawn.astype(np.float32) for name, drawn in arrays.items()}
    for name, drawn in samples.items():
        if drawn.shape != (len(lengths), windows, sizes[name]) or not np.isfinite(drawn).all():
            raise InputError(
                f"its null distribution of {name} has a wrong shape or values that are not finite"
            )
    return NullDistribution(tuple(int(length) for length in lengths), samples)
