"""STOI: how much of speech can be understood, compared with its original."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError
from audiocodec.metrics.pair import at_rate, check_pair

_RATE = 16000


def stoi(reference: NDArray[np.floating], estimate: NDArray[np.floating], sample_rate: int) -> float:
    """Short-time objective intelligibility, about 0 to 1; other rates are resampled to 16 kHz.

    Taal et al. 2011, https://doi.org/10.1109/TASL.2011.2114881.

    Raises:
        MetricError: as `check_pair`, or less than about 0.4 s of sound.
    """
    return _stoi(reference, estimate, sample_rate, extended=False)


def estoi(reference: NDArray[np.floating], estimate: NDArray[np.floating], sample_rate: int) -> float:
    """Extended STOI, for noise that comes and goes; other rates are resampled to 16 kHz.

    Jensen and Taal 2016, https://doi.org/10.1109/TASLP.2016.2585878.

    Raises:
        MetricError: as `check_pair`, or less than about 0.4 s of sound.
    """
    return _stoi(reference, estimate, sample_rate, extended=True)


def _stoi(
    reference: NDArray[np.floating], estimate: NDArray[np.floating], sample_rate: int, extended: bool
) -> float:
    import pystoi

    pair = check_pair(reference, estimate, sample_rate, min_seconds=0.4)
    target, heard = at_rate(pair, sample_rate, _RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pystoi warns and returns 1e-5 where it cannot score
        try:
            score = float(pystoi.stoi(target, heard, _RATE, extended=extended))
        except (RuntimeWarning, ValueError, IndexError) as error:
            raise MetricError("STOI needs at least 0.4 s that are not silent; score a longer file") from error
    if not np.isfinite(score):
        raise MetricError(f"STOI came out as {score}; the signals do not match")
    return score
