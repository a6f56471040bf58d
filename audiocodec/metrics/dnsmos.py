"""DNSMOS: how good speech sounds to a network that has heard many ratings, without any reference.

Reddy et al. 2022, https://arxiv.org/abs/2110.01763; speechmos carries the published networks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError, require
from audiocodec.metrics.pair import at_rate, check_pair

Wav = NDArray[np.floating[Any]]

INSTALL = "speechmos onnxruntime requests"  # speechmos imports them and does not say so
_RATE = 16000
_MIN_SECONDS = 1.0


def dnsmos(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """Overall quality (OVRL of P.835), MOS 1 to 5. The reference is not used.

    Samples beyond [-1, 1] are clipped; what is shorter than 9 s is repeated, as in the published code.

    Raises:
        MetricError: the estimate is silent, not finite, under 1 s, or not [L].
        MissingPackageError: speechmos or what it needs is not installed.
    """
    return _scores(estimate, sample_rate)["ovrl_mos"]


def dnsmos_sig(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """Quality of the voice alone (SIG of P.835), MOS 1 to 5; otherwise as `dnsmos`."""
    return _scores(estimate, sample_rate)["sig_mos"]


def dnsmos_bak(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """How little the background disturbs (BAK of P.835), MOS 1 to 5; otherwise as `dnsmos`."""
    return _scores(estimate, sample_rate)["bak_mos"]


def dnsmos_p808(reference: Wav | None, estimate: Wav, sample_rate: int) -> float:
    """Quality as one number of the P.808 network, MOS 1 to 5; otherwise as `dnsmos`."""
    return _scores(estimate, sample_rate)["p808_mos"]


def _scores(estimate: Wav, sample_rate: int) -> dict[str, float]:
    pair = check_pair(estimate, estimate, sample_rate, _MIN_SECONDS)
    heard, _ = at_rate(pair, sample_rate, _RATE)
    return _run(np.clip(heard, -1, 1).astype(np.float32).tobytes())


@lru_cache(maxsize=2)  # both networks run at once
def _run(samples: bytes) -> dict[str, float]:
    module = require("speechmos.dnsmos", "DNSMOS", INSTALL)
    found = module.run(np.frombuffer(samples, np.float32), _RATE)
    scores = {name: float(value) for name, value in found.items()}
    if not all(np.isfinite(list(scores.values()))):
        raise MetricError(f"DNSMOS came out as {scores}; score another file")
    return scores
