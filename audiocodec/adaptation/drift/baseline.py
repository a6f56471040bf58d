"""What a codec's audio looks like when all is well, and how much windows of it differ by chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.adaptation.drift.measures import Measures, compare
from audiocodec.adaptation.drift.null import NullDistribution
from audiocodec.adaptation.statistics import Statistics
from audiocodec.adaptation.statistics.collecting import Recording
from audiocodec.adaptation.statistics.collector import Collecting
from audiocodec.adaptation.statistics.frames import Frames, encode_frames, statistics_of
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from audiocodec.codec import Codec

MIN_SECONDS = 30.0
"""Audible audio that a baseline needs."""
BASELINE_SAMPLE = 2500
"""Latents that a baseline keeps: with them it stays below 2 MB."""
WINDOW_SAMPLE = 1024
"""Latents of a window that are kept for distances of samples."""
WINDOW_OPTIONS = Collecting(reservoir_size=WINDOW_SAMPLE, residual_moments=False)


@dataclass(frozen=True, eq=False)
class Baseline:
    """A known state of the world.

    Attributes:
        name: of the environment, such as "clean".
        statistics: of all its audio.
        null: drift measures of its own windows.
        facts: where it comes from, for people: data, date, model.
    """

    name: str
    statistics: Statistics
    null: NullDistribution
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def model_id(self) -> str:
        """Of the model that computed it."""
        return self.statistics.model_id

    @property
    def codebook_id(self) -> str:
        """Of the codebooks that chose its codes."""
        return self.statistics.codebook_id

    @property
    def shortest_seconds(self) -> float:
        """Shortest window that can be told from chance."""
        return self.null.lengths[0] / self.statistics.frame_rate

    def compare(self, window: Statistics) -> Measures:
        """Measure the drift of a window.

        Raises:
            InputError: it is of another model, or too short.
        """
        self.null.check_frames(window.frames, window.frame_rate)
        return compare(self.statistics, window)


@dataclass(frozen=True)
class NullPlan:
    """How the null distribution is drawn.

    Attributes:
        seconds: lengths of windows; those that are more than half of the audio are left out.
        windows: drawn for each length.
    """

    seconds: Sequence[float] = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
    windows: int = 250


def make_baseline(
    codec: Codec,
    wavs: Iterable[Recording],
    held_out: Iterable[Recording] = (),
    *,
    rng: np.random.Generator,
    name: str = "clean",
    plan: NullPlan | None = None,
    facts: Mapping[str, Any] | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Baseline:
    """Describe recordings, and how much windows of the same kind differ from them by chance.

    Windows are drawn from `held_out`, which the codebooks should not have been fitted to. Without any, the
    recordings are dealt into two halves, and windows of each are compared with the other.

    Raises:
        InputError: less than 30 s of audible audio, or a recording that cannot be used.
    """
    plan = plan or NullPlan()
    parts = list(encode_frames(codec, wavs))
    check_enough(parts)
    judged = list(encode_frames(codec, held_out))
    sampling = Collecting(reservoir_size=BASELINE_SAMPLE)
    everything = statistics_of(codec, parts, rng, sampling)
    if judged:
        check_enough(judged)
        sides = [(everything, Frames.join(judged))]
    else:
        first, second = _halves(parts)
        sides = [
            (statistics_of(codec, one, rng, sampling), Frames.join(other))
            for one, other in ((first, second), (second, first))
        ]
    null = draw_null(codec, sides, plan, rng, progress)
    return Baseline(name, everything, null, {"seconds": round(everything.seconds, 1), **(facts or {})})


def draw_null(
    codec: Codec,
    sides: Sequence[tuple[Statistics, Frames]],
    plan: NullPlan,
    rng: np.random.Generator,
    progress: Callable[[float], None] = lambda share: None,
) -> NullDistribution:
    """Compare windows out of frames with the statistics beside them, drawn from each side in turn."""
    rate = codec.model.frame_rate
    shortest = min(len(frames) for _, frames in sides)
    lengths = sorted({round(seconds * rate) for seconds in plan.seconds if seconds * rate <= shortest / 2})
    drawn: list[list[Measures]] = []
    for done, length in enumerate(lengths):
        found: list[Measures] = []
        for number in range(plan.windows):
            reference, frames = sides[number % len(sides)]
            window = statistics_of(codec, draw_window(frames, length, rng), rng, WINDOW_OPTIONS)
            found.append(compare(reference, window))
            progress((done + (number + 1) / plan.windows) / len(lengths))
        drawn.append(found)
    samples = {
        name: np.array([[one.values[name] for one in found] for found in drawn], np.float32)
        for name in drawn[0][0].values
    }
    return NullDistribution(tuple(lengths), samples)


def draw_window(frames: Frames, length: int, rng: np.random.Generator) -> list[Frames]:
    """Stretches of together `length` frames, as long as a quarter of the audio allows."""
    count = math.ceil(length / max(1, len(frames) // 4))
    sizes = [len(part) for part in np.array_split(np.arange(length), count)]
    return [frames.around(int(rng.integers(len(frames))), size) for size in sizes]


def check_enough(parts: Sequence[Frames], needed: float = MIN_SECONDS) -> None:
    """Refuse audio of which too little can be heard.

    Raises:
        InputError: says how much there is and how much is needed.
    """
    audible = sum(part.audible_seconds for part in parts)
    if audible < needed:
        what = "only silence" if not audible else f"{audible:.1f} s that can be heard"
        raise InputError(f"too little audio: {what}; a baseline needs {needed:.0f} s louder than -60 dB")


def _halves(parts: Sequence[Frames]) -> tuple[list[Frames], list[Frames]]:
    """Deal recordings to two sides of about the same length; one long recording is cut in the middle."""
    half = sum(len(part) for part in parts) // 2
    longest = max(len(part) for part in parts)
    if longest > half:
        whole = Frames.join(parts)
        return [whole.cut(0, half)], [whole.cut(half, len(whole))]
    return list(parts[::2]), list(parts[1::2])
