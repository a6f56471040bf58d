"""ViSQOL, version 3: three models under one name, which give three different numbers, so each has its own.

Chinen et al. 2020, https://arxiv.org/abs/2004.09584; computed by visqol-python, a port of the published code.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError, require
from audiocodec.metrics.pair import at_rate, check_pair

Wav = NDArray[np.floating[Any]]

INSTALL = "'visqol-python[lattice]'"
_MIN_SECONDS = 0.8  # a patch has 0.4 s, and half a second at the ends may be left out


def visqol_speech(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Speech mode at 16 kHz with the lattice model, the default of the published program; MOS-LQO 1 to 5.

    Raises:
        MetricError: as `check_pair`, under 0.8 s, or ViSQOL finds nothing to compare.
        MissingPackageError: visqol-python or ai-edge-litert is not installed.
    """
    return _score(reference, estimate, sample_rate, "speech", True)


def visqol_speech_polynomial(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Speech mode at 16 kHz with the polynomial of older papers; MOS-LQO 1 to 5.

    Raises:
        MetricError: as `visqol_speech`.
        MissingPackageError: visqol-python is not installed.
    """
    return _score(reference, estimate, sample_rate, "speech", False)


def visqol_audio(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Audio mode at 48 kHz, which SoundStream and many after it report; MOS-LQO 1 to 4.73.

    Raises:
        MetricError: as `visqol_speech`.
        MissingPackageError: visqol-python is not installed.
    """
    return _score(reference, estimate, sample_rate, "audio", None)


def _score(reference: Wav, estimate: Wav, sample_rate: int, mode: str, lattice: bool | None) -> float:
    rate = 48000 if mode == "audio" else 16000
    pair = check_pair(reference, estimate, sample_rate, min_seconds=_MIN_SECONDS)
    target, heard = at_rate(pair, sample_rate, rate)
    api = _api(mode, lattice)
    try:
        score = float(api.measure_from_arrays(target, heard, rate).moslqo)
    except (ValueError, IndexError, RuntimeError) as error:
        raise MetricError(f"ViSQOL cannot be computed: {error}") from error
    if not np.isfinite(score):
        raise MetricError(f"ViSQOL came out as {score}; the signals do not match")
    return score


@lru_cache(maxsize=3)
def _api(mode: str, lattice: bool | None) -> Any:
    if lattice:
        require("ai_edge_litert.interpreter", "ViSQOL's lattice model", INSTALL)
    api = require("visqol", "ViSQOL", INSTALL).VisqolApi()
    api.create(mode=mode, use_lattice_model=lattice)
    return api
