"""Services on stores of their own, each killed one step later than the one before, until one lives.

python killed_services.py MODEL WATCHED CLEAN.npy STORES: prints the exit status of each as a JSON list. A
process of its own, as a fork of one that has OpenMP threads would wait for them for ever. It imports once,
reads and fits once in a dry run, and forks for each service: what is killed is the part that writes.
"""

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats  # noqa: F401 - once, not in each service
import torch

from audiocodec.adaptation.refresh import acceptance, proposal, service
from audiocodec.adaptation.refresh.acceptance import SCORES, Scored
from audiocodec.adaptation.refresh.candidate import RefreshOptions
from audiocodec.adaptation.refresh.proposal import Plan
from audiocodec.adaptation.refresh.service import DriftReading, Service
from audiocodec.adaptation.refresh.sound import SoundClip, SoundClips
from audiocodec.adaptation.registry import Registry
from audiocodec.codec import load

NOW = 5600.0
MOST = 20


def unscored(codec: object, clips: Sequence[SoundClip], *_: object) -> Scored:
    """Scores take a second a piece, and are not looked at."""
    ones = {name: np.ones(len(clips)) for name in SCORES}
    return Scored(tuple(clip.name for clip in clips), ones, (1.0,), (1.0,))


def once(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the first call gave, for ever."""
    made: list[Any] = []

    def call(*args: Any, **options: Any) -> Any:
        if not made:
            made.append(function(*args, **options))
        return made[0]

    return call


def serve(model: Path, watched: Path, clean: Path, store: Path, kill_at: int, dry_run: bool = False) -> None:
    """Refresh, accept and activate, but end after so many steps that reach the disk."""
    steps = itertools.count()

    def stop(step: str) -> None:
        del step
        if next(steps) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if not dry_run:
        own = load(model, "cpu")
        Registry(store, clock=lambda: NOW - 1).baseline(own.model_id, own.model.quantizer.codebooks())
    registry = Registry(store, clock=lambda: NOW, on_step=stop)
    clips = [SoundClip(str(n), str(n), wav, 16000) for n, wav in enumerate(np.load(clean))]
    Service(
        registry,
        load(model, "cpu", registry),
        watched,
        SoundClips(tuple(clips), {}),
        lambda *_: DriftReading(True, "made up"),
        Plan(RefreshOptions(fraction=0.5), dry_run=dry_run),
        clock=lambda: NOW,
    ).step()


def main() -> None:
    """One service after another."""
    model, watched, clean, stores = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    for name in ("_no_gain", "_clean_loss"):  # whatever comes of it is accepted
        setattr(acceptance, name, lambda *_: "")
    acceptance.score = unscored
    service.read_sound, proposal.refresh = once(service.read_sound), once(proposal.refresh)
    serve(model, watched, clean, stores / "none", MOST, dry_run=True)
    statuses: list[int] = []
    while len(statuses) < MOST and 0 not in statuses:
        child = os.fork()
        if not child:
            status = 1
            try:
                serve(model, watched, clean, stores / str(len(statuses)), len(statuses))
                status = 0
            finally:
                os._exit(status)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(statuses))


if __name__ == "__main__":
    main()
