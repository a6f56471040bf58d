"""Distill-MOS: how good speech sounds to a small network taught by a large one, without any reference.

Stahl and Gamper 2025, "Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech
Quality Assessment", https://arxiv.org/abs/2502.05356; the weights are in the wheel of `distillmos`.
"""

from __future__ import annotations

import contextlib
import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError, require
from audiocodec.metrics.pair import at_rate, check_pair

Wav = NDArray[np.floating[Any]]

INSTALL = "distillmos"
_RATE = 16000
_MIN_SECONDS = 1.0
_CROP, _HOP = 122880, 16000  # 7.68 s, at most 1 s apart, as the package takes them
_AT_A_TIME = 8  # crops: 60 MB


def distillmos(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """Quality of speech, MOS 1 to 5. The reference is not used.

    The mean over crops of 7.68 s; what is shorter is followed by silence. Level does not count: each crop is
    scaled to its peak. Other rates are resampled to 16 kHz.

    Raises:
        MetricError: the estimate is silent, not finite, under 1 s, or not [L].
        MissingPackageError: distillmos, or xls-r-sqa, which it needs, is not installed.
    """
    pair = check_pair(estimate, estimate, sample_rate, _MIN_SECONDS)
    heard, _ = at_rate(pair, sample_rate, _RATE)
    score = _run(heard.astype(np.float32))
    if not np.isfinite(score):
        raise MetricError(f"Distill-MOS came out as {score}; score another file")
    return score


def _run(wav: NDArray[np.float32]) -> float:
    network = _network()
    import torch

    over = max(0, len(wav) - _CROP)
    padded = np.pad(wav, (0, max(0, _CROP - len(wav))))
    starts = (np.linspace(0, 1, -(-over // _HOP) + 1) * over).astype(int)
    scores: list[float] = []
    with torch.inference_mode():
        for at in range(0, len(starts), _AT_A_TIME):
            crops = np.stack([padded[start : start + _CROP] for start in starts[at : at + _AT_A_TIME]])
            scores += network(torch.from_numpy(crops)).flatten().tolist()
    return float(np.mean(scores))


@lru_cache(maxsize=1)
def _network() -> Any:
    """The network on the CPU; a training that scores by it keeps its random numbers."""
    package = require("distillmos", "Distill-MOS", INSTALL)
    import torch

    with (
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # says where its weights lie
        return package.ConvTransformerSQAModel().eval()
