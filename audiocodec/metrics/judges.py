"""Scores by networks of others: how good speech sounds without a reference, and who seems to speak."""

from __future__ import annotations

import contextlib
import io
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError, require
from audiocodec.metrics.base import Wav, at_rate, check_pair, check_score

INSTALL_DISTILLMOS = "distillmos"
INSTALL_DNSMOS = "speechmos onnxruntime requests"  # speechmos imports them and does not say so
INSTALL_SPEAKER = "resemblyzer webrtcvad-wheels 'scipy<2'"
"""webrtcvad, which resemblyzer asks for, needs pkg_resources; webrtcvad-wheels is the same and does not."""
_RATE = 16000
_MIN_SECONDS = 1.0
_CROP, _HOP = 122880, 16000  # of Distill-MOS: 7.68 s, at most 1 s apart, as the package takes them
_AT_A_TIME = 8  # crops: 60 MB


def distillmos(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """Quality of speech by Distill-MOS, MOS 1 to 5. The reference is not used.

    Stahl and Gamper 2025, "Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech
    Quality Assessment", https://arxiv.org/abs/2502.05356; the weights are in the wheel of `distillmos`.

    The mean over crops of 7.68 s; what is shorter is followed by silence. Level does not count: each crop is
    scaled to its peak. Other rates are resampled to 16 kHz.

    Raises:
        MetricError: the estimate is silent, not finite, under 1 s, or not [L].
        MissingPackageError: distillmos, or xls-r-sqa, which it needs, is not installed.
    """
    pair = check_pair(estimate, estimate, sample_rate, _MIN_SECONDS)
    wav, _ = at_rate(pair, sample_rate, _RATE)
    return check_score("Distill-MOS", _distillmos(wav.astype(np.float32)), "score another file")


def _distillmos(wav: NDArray[np.float32]) -> float:
    network = _distillmos_network()
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
def _distillmos_network() -> Any:
    """The network on the CPU; a training that scores by it keeps its random numbers."""
    package = require("distillmos", "Distill-MOS", INSTALL_DISTILLMOS)
    import torch

    with (
        torch.random.fork_rng(devices=[]),
        contextlib.redirect_stdout(io.StringIO()),
    ):  # says where its weights lie
        return package.ConvTransformerSQAModel().eval()


def dnsmos(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """Overall quality (OVRL of P.835) by DNSMOS, MOS 1 to 5. The reference is not used.

    Reddy et al. 2022, https://arxiv.org/abs/2110.01763; `speechmos` carries the published networks.

    Samples beyond [-1, 1] are clipped; what is shorter than 9 s is repeated, as in the published code.

    Raises:
        MetricError: the estimate is silent, not finite, under 1 s, or not [L].
        MissingPackageError: speechmos or what it needs is not installed.
    """
    return _dnsmos(estimate, sample_rate)["ovrl_mos"]


def dnsmos_sig(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """Quality of the voice alone (SIG of P.835), MOS 1 to 5; otherwise as `dnsmos`."""
    return _dnsmos(estimate, sample_rate)["sig_mos"]


def dnsmos_bak(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """How little the background disturbs (BAK of P.835), MOS 1 to 5; otherwise as `dnsmos`."""
    return _dnsmos(estimate, sample_rate)["bak_mos"]


def dnsmos_p808(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """Quality as one number of the P.808 network, MOS 1 to 5; otherwise as `dnsmos`."""
    return _dnsmos(estimate, sample_rate)["p808_mos"]


def _dnsmos(estimate: Wav, sample_rate: int) -> dict[str, float]:
    pair = check_pair(estimate, estimate, sample_rate, _MIN_SECONDS)
    wav, _ = at_rate(pair, sample_rate, _RATE)
    return _dnsmos_networks(np.clip(wav, -1, 1).astype(np.float32).tobytes())


@lru_cache(maxsize=2)  # both networks run at once
def _dnsmos_networks(samples: bytes) -> dict[str, float]:
    module = require("speechmos.dnsmos", "DNSMOS", INSTALL_DNSMOS)
    values = module.run(np.frombuffer(samples, np.float32), _RATE)
    scores = {name: float(value) for name, value in values.items()}
    if not all(np.isfinite(list(scores.values()))):
        raise MetricError(f"DNSMOS came out as {scores}; score another file")
    return scores


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
    speech = _resemblyzer().preprocess_wav(np.frombuffer(samples, np.float32), _RATE)
    if not len(speech):
        raise MetricError("no speech is found; score another file")
    return _voice_encoder().embed_utterance(speech)


@lru_cache(maxsize=1)
def _voice_encoder() -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):  # its weights are drawn before they are read
        return _resemblyzer().VoiceEncoder("cpu", verbose=False)


def _resemblyzer() -> Any:
    with warnings.catch_warnings(action="ignore"):  # it imports by old names
        return require("resemblyzer", "speaker similarity", INSTALL_SPEAKER)
