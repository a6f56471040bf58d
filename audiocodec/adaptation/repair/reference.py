"""Clean speech that comes with the package: what a refreshed codebook must still code as well as before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from audiocodec import audio, pretrained
from audiocodec.adaptation.drift import find_baseline
from audiocodec.adaptation.repair.sound import Sound, read_sound
from audiocodec.errors import InputError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import Tensor

FOLDER = "reference-speech"
SAMPLE_RATE = 16000


def clean_speech(sample_rate: int, paths: Iterable[Path] | None = None) -> Sound:
    """Clean speech at `sample_rate`: recordings that were given, or those of the package.

    Raises:
        InputError: none can be used, or those of the package hold only half the band of this model.
    """
    if paths is None:
        if sample_rate > SAMPLE_RATE:
            raise InputError(
                f"the clean speech of the package is at {SAMPLE_RATE} Hz, this model is at {sample_rate} Hz;"
                " name recordings of your own with --clean"
            )
        paths = [pretrained.data_folder() / FOLDER]
    found = read_sound(audio.find_audio(paths), sample_rate)
    if not found.clips:
        why = "; ".join(f"{name}: {reason}" for name, reason in found.skipped.items())
        raise InputError(f"no clean speech that can be used ({why}); name recordings with --clean")
    return found


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
