"""PESQ: how good speech sounds against its original, ITU-T P.862 (narrow band) and P.862.2 (wide band)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError
from audiocodec.metrics.pair import at_rate, check_pair

# The reference code holds 50 utterances, each at least 0.4 s with its pause, and overruns its memory beyond.
_PIECE_SECONDS = 20


def pesq_wb(reference: NDArray[np.floating], estimate: NDArray[np.floating], sample_rate: int) -> float:
    """Wide-band PESQ, MOS-LQO from 1.04 to 4.64; other rates are resampled to 16 kHz.

    Audio longer than 20 s is scored in equal pieces of at most 20 s, and their mean is returned.

    Raises:
        MetricError: as `check_pair`, under 0.25 s, or no speech is found.
    """
    return _pesq(reference, estimate, sample_rate, "wb")


def pesq_nb(reference: NDArray[np.floating], estimate: NDArray[np.floating], sample_rate: int) -> float:
    """Narrow-band PESQ, MOS-LQO from 1.02 to 4.55; rates other than 8 and 16 kHz are resampled to 16 kHz.

    Long audio as in `pesq_wb`.

    Raises:
        MetricError: as `check_pair`, under 0.25 s, or no speech is found.
    """
    return _pesq(reference, estimate, sample_rate, "nb")


def _pesq(
    reference: NDArray[np.floating],
    estimate: NDArray[np.floating],
    sample_rate: int,
    mode: Literal["wb", "nb"],
) -> float:
    pair = check_pair(reference, estimate, sample_rate, min_seconds=0.26)
    rate = 8000 if mode == "nb" and sample_rate == 8000 else 16000
    target, heard = at_rate(pair, sample_rate, rate)
    pieces = -(-len(target) // (_PIECE_SECONDS * rate))
    scores = [
        _score(a, b, rate, mode)
        for a, b in zip(np.array_split(target, pieces), np.array_split(heard, pieces), strict=True)
    ]
    found = [score for score in scores if score is not None]
    if not found:
        raise MetricError("PESQ finds no speech in the reference; score another file")
    return float(np.mean(found))


def _score(
    reference: NDArray[np.float64], estimate: NDArray[np.float64], rate: int, mode: Literal["wb", "nb"]
) -> float | None:
    """Score one piece; None where nobody speaks."""
    import pesq

    if np.ptp(reference) == 0:
        return None
    try:
        score = float(pesq.pesq(rate, reference, estimate, mode))
    except pesq.NoUtterancesError:
        return None
    except (pesq.PesqError, ValueError) as error:  # ValueError: the estimate is silent and a level is NaN
        raise MetricError(f"PESQ cannot be computed: {error}") from error
    if not np.isfinite(score):
        raise MetricError(f"PESQ came out as {score}; the signals do not match")
    return score
