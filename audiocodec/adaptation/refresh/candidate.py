"""From sound of an environment to candidate codebooks; the model in use is never touched."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch

from audiocodec.adaptation.refresh.refine import Refining, encode_clips, fit_adapter, refine_entries
from audiocodec.adaptation.refresh.refit import Fit, follow_online, refit, thin
from audiocodec.adaptation.refresh.stack import Stack
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.adaptation.refresh.refine import EncodedClip
    from audiocodec.adaptation.refresh.sound import SoundClips
    from audiocodec.codec import Codec

Method = Literal["kmeans", "gradient", "online", "none"]
METHODS: tuple[Method, ...] = ("kmeans", "gradient", "online", "none")
FRAMES_PER_ENTRY = 8
"""Frames of the environment for each entry that is to move, at least."""
MOST_FRAMES = 60_000
"""Latents that codebooks are fitted to: 20 minutes at 50 Hz. More are thinned out."""


@dataclass(frozen=True)
class RefreshOptions:
    """What is fitted, and how.

    Attributes:
        method: "kmeans" moves entries to where the latents are; "gradient" does that and then follows the
            gradient of the decoded sound; "online" lets entries follow the sound piece by piece, in bounded
            steps; "none" moves no entry and fits an adapter only.
        stages: first and last stage, counted from 1; None: all.
        fraction: of the entries of each stage that may move.
        adapter: whether gains and offsets of the decoder are fitted too; they are sent with the codebooks.
        refining: how gradients are followed.
        seed: of the random generator.
    """

    method: Method = "kmeans"
    stages: tuple[int, int] | None = None
    fraction: float = 0.25
    adapter: bool = False
    refining: Refining = field(default_factory=Refining)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"method {self.method!r}; choose one of {', '.join(METHODS)}")
        if self.method == "none" and not self.adapter:
            raise InputError("method 'none' changes nothing by itself: ask for an adapter, too (--adapter)")
        if not 0 < self.fraction <= 1:
            raise InputError(f"fraction {self.fraction}; give a share of the entries above 0, at most 1")
        if self.stages is not None and not 1 <= self.stages[0] <= self.stages[1]:
            raise InputError(f"stages {self.stages[0]} to {self.stages[1]}; count from 1, first to last")


@dataclass(frozen=True, eq=False)
class Candidate:
    """Codebooks to be judged.

    Attributes:
        codebooks: by name.
        extras: the map around them and the adapter, by name; {} without any.
        facts: what was done: method, entries moved, seconds of sound and of work, errors of the latents.
    """

    codebooks: dict[str, Tensor]
    extras: dict[str, Tensor]
    facts: dict[str, Any]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Codebooks, map and adapter, as a revision holds them."""
        return {**self.codebooks, **self.extras}


def refresh(
    codec: Codec,
    environment: SoundClips,
    clean: SoundClips,
    options: RefreshOptions,
    *,
    clean_latents: Tensor | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Candidate:
    """Fit the codebooks of `codec` to an environment, without losing clean speech.

    `clean_latents` [M, D], a reservoir of the sound the model was trained on, join those of `clean`.

    Raises:
        InputError: too little sound (says how much is needed), or codebooks that cannot be refreshed.
    """
    started = time.process_time()
    stack = Stack.of(codec.model.quantizer)
    stages = _chosen(options, stack)
    check_enough(environment, codec, options)
    environment_clips = encode_clips(codec.model, environment.clips)
    clean_clips = encode_clips(codec.model, clean.clips)
    rng = torch.Generator().manual_seed(options.seed)
    vectors = _sample_latents(environment_clips, rng)
    clean_vectors = _sample_latents(clean_clips, rng, clean_latents)
    shown = _parts(progress, (1.0, 1.5 * (options.method == "gradient"), 1.5 * options.adapter))
    if options.method == "none":
        fit = Fit(stack, ())
    elif options.method == "online":
        windows = [clip.latents for clip in environment_clips]
        fit = follow_online(stack, windows, clean_vectors, stages, options.fraction, shown[0])
    else:
        fit = refit(stack, vectors, clean_vectors, stages, options.fraction, rng, shown[0])
    by_sound = (environment_clips, clean_clips, options.refining, rng)
    if options.method == "gradient":
        fit = refine_entries(codec.model, fit, *by_sound, shown[1])
    adapter = fit_adapter(codec.model, fit.stack, *by_sound, shown[2]) if options.adapter else {}
    facts = {
        "method": options.method,
        "stages": [stages[0] + 1, stages[-1] + 1],
        "fraction": options.fraction,
        "adapter": options.adapter,
        "seed": options.seed,
        "moved_entries": [int(free.sum()) for free in fit.moved],
        "environment_seconds": round(environment.seconds, 1),
        "clean_seconds": round(clean.seconds, 1),
        "processor_seconds": round(time.process_time() - started, 1),
    }
    extras = {**fit.stack.extras(), **codec.model.adapter, **adapter}
    return Candidate(fit.stack.codebooks(), extras, facts)


def check_enough(environment: SoundClips, codec: Codec, options: RefreshOptions) -> None:
    """Refuse too little sound.

    Raises:
        InputError: says how many seconds are needed.
    """
    needed = seconds_needed(codec, options)
    if environment.seconds < needed:
        skipped = "".join(f"; {name}: {why}" for name, why in list(environment.skipped.items())[:3])
        raise InputError(
            f"{environment.seconds:.0f} s of usable sound to fit, {needed:.0f} s are needed for"
            f" --fraction {options.fraction:g}: give more, or a smaller fraction{skipped}"
        )


def seconds_needed(codec: Codec, options: RefreshOptions) -> float:
    """Sound that a fit needs at least."""
    if options.method == "none":
        return 20.0
    size = max(codec.model.quantizer.codebook_sizes)
    return max(20.0, FRAMES_PER_ENTRY * options.fraction * size / codec.model.frame_rate)


def _chosen(options: RefreshOptions, stack: Stack) -> range:
    """Stages counted from 0.

    Raises:
        InputError: the stack has fewer.
    """
    first, last = options.stages or (1, len(stack.entries))
    if last > len(stack.entries):
        raise InputError(f"stages {first} to {last}; this model has 1 to {len(stack.entries)}")
    return range(first - 1, last)


def _parts(progress: Callable[[float], None], weights: Sequence[float]) -> list[Callable[[float], None]]:
    """One `progress` for each part of the work, of so much weight."""

    def part(start: float, weight: float) -> Callable[[float], None]:
        return lambda share: progress((start + weight * share) / sum(weights))

    return [part(sum(weights[:number]), weight) for number, weight in enumerate(weights)]


def _sample_latents(clips: list[EncodedClip], rng: torch.Generator, more: Tensor | None = None) -> Tensor:
    vectors = [clip.latents for clip in clips] + ([] if more is None else [more.float()])
    return thin(torch.cat(vectors), MOST_FRAMES, rng)
