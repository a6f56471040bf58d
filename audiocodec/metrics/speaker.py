"""Does decoded speech still sound like the same person."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError, require
from audiocodec.metrics.pair import at_rate, check_pair

Wav = NDArray[np.floating[Any]]

INSTALL = "resemblyzer webrtcvad-wheels 'scipy<2'"
"""webrtcvad, which resemblyzer asks for, needs pkg_resources; webrtcvad-wheels is the same and does not."""
_RATE = 16000


def speaker_similarity(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Cosine between the voices of both by Resemblyzer's encoder; 1 is the same, different people about 0.5.

    Wan et al. 2018, "Generalized End-to-End Loss for Speaker Verification", https://arxiv.org/abs/1710.10467.

    Raises:
        MetricError: as `check_pair`, under 1 s, or one of them has no speech in it.
        MissingPackageError: Resemblyzer or what it needs is not installed.
    """
    pair = check_pair(reference, estimate, sample_rate, min_seconds=1.0)
    voices = [_voice(wav.astype(np.float32).tobytes()) for wav in at_rate(pair, sample_rate, _RATE)]
    return float(voices[0] @ voices[1] / np.linalg.norm(voices[0]) / np.linalg.norm(voices[1]))


@lru_cache(maxsize=4)
def _voice(samples: bytes) -> NDArray[np.float32]:
    speech = _package().preprocess_wav(np.frombuffer(samples, np.float32), _RATE)
    if not len(speech):
        raise MetricError("no speech is found; score another file")
    return _encoder().embed_utterance(speech)


@lru_cache(maxsize=1)
def _encoder() -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):  # its weights are drawn before they are read
        return _package().VoiceEncoder("cpu", verbose=False)


def _package() -> Any:
    with warnings.catch_warnings(action="ignore"):  # it imports by old names
        return require("resemblyzer", "speaker similarity", INSTALL)
