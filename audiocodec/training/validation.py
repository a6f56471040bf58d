"""Scores of a model on held-out recordings, computed while it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from audiocodec.errors import MetricError
from audiocodec.metrics.intelligibility import stoi
from audiocodec.metrics.perceptual import pesq_wb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from audiocodec.model import CodecModel

METRICS = {"pesq_wb": pesq_wb, "stoi": stoi}
"""What is scored."""


def score_names(prefixes: Sequence[int]) -> list[str]:
    """Names of the scores that `validate` gives for these numbers of quantisers."""
    return [f"{name}/{prefix}" for prefix in prefixes for name in METRICS]


@torch.no_grad()
def validate(
    model: CodecModel, clips: Sequence[NDArray[np.float32]], prefixes: Sequence[int]
) -> dict[str, float]:
    """Mean PESQ-WB and STOI of `clips` at each number of quantisers, and 0 for none at all (unquantised).

    A clip that a metric cannot score (silence) is left out of that mean and counted as `unscored`.
    """
    scores: dict[str, list[float]] = {}
    unscored = 0
    for clip in clips:
        latents = model.encoder(_padded(model, clip))
        for prefix in prefixes:
            quantized = model.quantizer.decode(model.quantizer.encode(latents, prefix)) if prefix else latents
            decoded = model.decoder(quantized)[0, 0, model.delay : model.delay + len(clip)].cpu().numpy()
            for name, metric in METRICS.items():
                try:
                    scores.setdefault(f"{name}/{prefix}", []).append(metric(clip, decoded, model.sample_rate))
                except MetricError:
                    unscored += 1
    return {name: float(np.mean(values)) for name, values in scores.items()} | {"unscored": float(unscored)}


def _padded(model: CodecModel, clip: NDArray[np.float32]) -> Tensor:
    """Whole frames [1, 1, T * hop_length] that also hold what the delay pushes out."""
    frames = -(-(len(clip) + model.delay) // model.hop_length)
    wav = torch.zeros(1, 1, frames * model.hop_length)
    wav[0, 0, : len(clip)] = torch.from_numpy(clip)
    return wav.to(next(model.parameters()).device)
