"""The loop: what arrives in a folder is watched, and repaired, judged and put into use when it has drifted.

The service remembers nothing that it could not lose: what was tried on which sound, when, and what is in use
stands in the log of the store. Killed at any moment and started again, it goes on where it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from audiocodec.adaptation.refresh.candidate import seconds_needed
from audiocodec.adaptation.refresh.proposal import Outcome, Plan, present_codec, propose
from audiocodec.adaptation.refresh.refit import thin
from audiocodec.adaptation.refresh.sound import (
    CLIP_SECONDS,
    FEWEST_JUDGED,
    JUDGED_SHARE,
    SoundClips,
    read_sound,
)
from audiocodec.adaptation.refresh.stack import Stack
from audiocodec.audio.files import list_audio, unreadable
from audiocodec.coding import encode_latents
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.adaptation.refresh.sound import SoundClip, SoundClips
    from audiocodec.adaptation.registry import Event, Registry
    from audiocodec.codec import Codec


ServiceState = Literal["waiting", "cooling", "steady", "known", "published", "refused", "tried"]
SETTLING_SECONDS = 2.0
"""A file that changed later than this ago may still be written."""
LEAST_SECONDS = 2 * FEWEST_JUDGED * CLIP_SECONDS
"""Of sound, so that it can be divided into what is fitted to and what is judged on."""


class DriftReading(NamedTuple):
    """What a monitor says of a window: whether it alerts, and its reading in words."""

    alert: bool
    reading: str


@dataclass(frozen=True)
class ServiceReport:
    """What one look at the folder came to.

    Attributes:
        state: waiting (too little sound), cooling (too soon after the last try), steady (no drift), known
        (this
            sound was tried before), published, refused, or tried (a dry run).
        text: for people.
        outcome: of the refresh, if there was one.
    """

    state: ServiceState
    text: str
    outcome: Outcome | None = None


@dataclass
class Service:
    """Watches one folder for one store.

    Attributes:
        registry: the store.
        codec: with the model's own codebooks, loaded with the store.
        folder: where recordings arrive; they are read, never changed.
        clean: speech that must not lose.
        monitor: tells drift.
        plan: of a refresh; accepted codebooks become active unless it is a dry run.
        window_seconds: of the newest sound that is looked at.
        cool_down_seconds: between two refreshes.
        clean_latents: as in `propose`.
        clock: seconds since 1970.
        skipped: why files gave nothing when it last looked, by their names.
    """

    registry: Registry
    codec: Codec
    folder: Path
    clean: SoundClips
    monitor: Callable[[Codec, SoundClips, SoundClips], DriftReading]
    plan: Plan = field(default_factory=Plan)
    window_seconds: float = 600.0
    cool_down_seconds: float = 3600.0
    clean_latents: Tensor | None = None
    clock: Callable[[], float] = time.time
    skipped: dict[str, str] = field(default_factory=dict[str, str], init=False)

    def step(self, progress: Callable[[float], None] = lambda share: None) -> ServiceReport:
        """Look once, and do what there is to do.

        Raises:
            InputError: the folder is not there.
            RegistryError: the store is not sound, of another model, cannot be written, or is being refreshed.
        """
        self._finish_activation()
        rest = self._cooling()
        if rest > 0:
            return ServiceReport("cooling", f"{rest:.0f} s until the next refresh may start")
        window = read_sound(self._newest(), self.codec.sample_rate, limit_seconds=self.window_seconds)
        self.skipped |= window.skipped
        needed = max(seconds_needed(self.codec, self.plan.options) / (1 - JUDGED_SHARE), LEAST_SECONDS)
        if window.seconds < needed:
            return ServiceReport("waiting", f"{window.seconds:.0f} s of sound, {needed:.0f} s are needed")
        if any(
            event.details.get("provenance", {}).get("fingerprint") == window.fingerprint
            for event in self._tries()
        ):
            return ServiceReport("known", "this sound was tried before")
        drift = self.monitor(present_codec(self.registry, self.codec), window, self.clean)
        if not drift.alert:
            return ServiceReport("steady", drift.reading)
        plan = replace(self.plan, reason=f"drift: {drift.reading}", activate=not self.plan.dry_run)
        outcome = propose(
            self.registry,
            self.codec,
            window,
            self.clean,
            plan,
            clean_latents=self.clean_latents,
            progress=progress,
        )
        state: ServiceState = (
            "tried" if plan.dry_run else "published" if outcome.verdict.accepted else "refused"
        )
        return ServiceReport(state, outcome.verdict.reason, outcome)

    def _tries(self) -> list[Event]:
        """Publications and refusals for this model, oldest first."""
        kinds = ("publish", "refuse")
        return [e for e in self.registry.log() if e.kind in kinds and e.model_id == self.codec.model_id]

    def _cooling(self) -> float:
        """Seconds until the next refresh may start; none when the clock has gone back behind the last one."""
        tries = self._tries()
        if not tries:
            return 0.0
        passed = self.clock() - datetime.fromisoformat(tries[-1].time).timestamp()
        return self.cool_down_seconds - passed if passed >= 0 else 0.0

    def _finish_activation(self) -> None:
        """Activate what was accepted last, if the service ended between publishing and activating it."""
        tries = self._tries()
        if not tries or self.plan.dry_run or tries[-1].kind != "publish":
            return
        last = tries[-1]
        provenance = last.details.get("provenance", {})
        mine = str(provenance.get("reason", "")).startswith("drift: ")
        switched = any(
            event.kind in ("activate", "rollback")
            for event in self.registry.log()
            if event.sequence > last.sequence and event.model_id == self.codec.model_id
        )
        if mine and not switched:
            self.registry.activate(last.codebook_id, reason=provenance["reason"])

    def _newest(self) -> list[Path]:
        """Files of the window, oldest first; those that may still be written are left for later."""
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder; name the one where recordings arrive")
        latest = self.clock() - SETTLING_SECONDS
        inside, others = list_audio(self.folder)
        self.skipped = {str(path): str(unreadable(path)).removeprefix(f"{path}: ") for path in others}
        times = {path: _modified(path) for path in inside}
        ready = sorted((when, path) for path, when in times.items() if when is not None and when <= latest)
        return [path for _, path in _last_seconds(ready, self.window_seconds)]


def _modified(path: Path) -> float | None:
    """When a file changed last; None if it has gone, or is none."""
    try:
        return os.stat(path).st_mtime if path.is_file() else None
    except OSError:
        return None


def _last_seconds(ready: list[tuple[float, Path]], seconds: float) -> list[tuple[float, Path]]:
    """The newest files that hold `seconds` together; what cannot be read counts nothing."""
    from audiocodec import audio
    from audiocodec.errors import AudioCodecError

    kept: list[tuple[float, Path]] = []
    for when, path in reversed(ready):
        if seconds <= 0:
            break
        kept.append((when, path))
        try:
            seconds -= audio.info(path).seconds
        except AudioCodecError:
            continue
    return kept[::-1]


FRAMES = 4000
"""Of each sound that are coded to measure: 80 s at 50 Hz, drawn from all."""


@dataclass(frozen=True)
class ErrorMonitor:
    """Alerts when the relative error of a window is more than `threshold` times that of clean speech.

    The simplest of the measures of drift, and one that a refresh can lower: what it alerts on it can repair.

    Attributes:
        threshold: ratio of errors.
        bitrate: at which both are coded; None: the highest.
        seed: of the frames that are drawn.
    """

    threshold: float = 1.15
    bitrate: float | None = None
    seed: int = 0

    def __call__(self, codec: Codec, window: SoundClips, clean: SoundClips) -> DriftReading:
        """Measure both."""
        stack = Stack.of(codec.model.quantizer)
        num_quantizers = codec.model.num_quantizers_for(self.bitrate)
        here, clean_error = (
            stack.error(self._sample_latents(codec, sound.clips), num_quantizers) for sound in (window, clean)
        )
        ratio = here / max(clean_error, 1e-12)
        return DriftReading(
            ratio > self.threshold, f"error {here:.3f}, {ratio:.2f} times that of clean speech"
        )

    def _sample_latents(self, codec: Codec, clips: Sequence[SoundClip]) -> Tensor:
        rng = torch.Generator().manual_seed(self.seed)
        share = max(1, -(-FRAMES // max(len(clips), 1)))
        vectors = [
            thin(encode_latents(codec.model, clip.wav, clip.sample_rate)[0].t(), share, rng).cpu()
            for clip in clips
        ]
        return torch.cat(vectors)
