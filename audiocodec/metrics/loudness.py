"""Loudness as people perceive it, ITU-R BS.1770."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError, require
from audiocodec.metrics.pair import check_pair

_BLOCK_SECONDS = 0.4


def loudness_change(
    reference: NDArray[np.floating[Any]], estimate: NDArray[np.floating[Any]], sample_rate: int
) -> float:
    """How much louder the estimate is, in LU (dB of gated, K-weighted level); 0 is best.

    ITU-R BS.1770-4. Pauses do not count: blocks below -70 LUFS, or 10 LU under the rest, are left out.

    Raises:
        MetricError: as `check_pair`, under 0.4 s, or below -70 LUFS throughout.
        MissingPackageError: pyloudnorm is not installed.
    """
    pair = check_pair(reference, estimate, sample_rate, min_seconds=_BLOCK_SECONDS)
    before, after = (
        _loudness(wav, sample_rate, name) for wav, name in zip(pair, ("reference", "estimate"), strict=True)
    )
    return after - before


def _loudness(wav: NDArray[np.float64], sample_rate: int, name: str) -> float:
    pyloudnorm = require("pyloudnorm", "loudness", "'audiocodec[evaluate]'")
    with np.errstate(divide="ignore"):
        loudness = float(pyloudnorm.Meter(sample_rate).integrated_loudness(wav))
    if not np.isfinite(loudness):
        raise MetricError(f"the {name} stays below -70 LUFS, the level from which loudness is measured")
    return loudness
