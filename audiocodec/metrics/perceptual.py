"""How good, and how intelligible, speech is against its original: PESQ, STOI and ViSQOL, by their libraries.

PESQ is ITU-T P.862 (narrow band) and P.862.2 (wide band). ViSQOL, version 3, is Chinen et al. 2020,
https://arxiv.org/abs/2004.09584, computed by visqol-python, a port of the published code. Its three models
give three different numbers, so each has its own name.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError, require
from audiocodec.metrics.base import Wav, at_rate, check_pair, check_score

INSTALL_VISQOL = "'visqol-python[lattice]'"
_RATE = 16000
# The reference code holds 50 utterances, each at least 0.4 s with its pause, and overruns its memory beyond.
_PIECE_SECONDS = 20
_VISQOL_SECONDS = 0.8  # a patch has 0.4 s, and half a second at the ends may be left out


def pesq_wb(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Wide-band PESQ, MOS-LQO from 1.04 to 4.64; other rates are resampled to 16 kHz.

    Audio longer than 20 s is scored in equal pieces of at most 20 s, and their mean is returned.

    Raises:
        MetricError: as `check_pair`, under 0.25 s, or no speech is found.
    """
    return _pesq(reference, estimate, sample_rate, "wb")


def pesq_nb(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Narrow-band PESQ, MOS-LQO from 1.02 to 4.55; rates other than 8 and 16 kHz are resampled to 16 kHz.

    Long audio as in `pesq_wb`.

    Raises:
        MetricError: as `check_pair`, under 0.25 s, or no speech is found.
    """
    return _pesq(reference, estimate, sample_rate, "nb")


def _pesq(
    reference: Wav,
    estimate: Wav,
    sample_rate: int,
    mode: Literal["wb", "nb"],
) -> float:
    pair = check_pair(reference, estimate, sample_rate, min_seconds=0.26)
    rate = 8000 if mode == "nb" and sample_rate == 8000 else 16000
    reference, estimate = at_rate(pair, sample_rate, rate)
    pieces = -(-len(reference) // (_PIECE_SECONDS * rate))
    scores = [
        _pesq_of_piece(a, b, rate, mode)
        for a, b in zip(np.array_split(reference, pieces), np.array_split(estimate, pieces), strict=True)
    ]
    with_speech = [score for score in scores if score is not None]
    if not with_speech:
        raise MetricError("PESQ finds no speech in the reference; score another file")
    return float(np.mean(with_speech))


def _pesq_of_piece(
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
    return check_score("PESQ", score)


def stoi(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Short-time objective intelligibility, about 0 to 1; other rates are resampled to 16 kHz.

    Taal et al. 2011, https://doi.org/10.1109/TASL.2011.2114881.

    Raises:
        MetricError: as `check_pair`, or less than about 0.4 s of sound.
    """
    return _stoi(reference, estimate, sample_rate, extended=False)


def estoi(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Extended STOI, for noise that comes and goes; other rates are resampled to 16 kHz.

    Jensen and Taal 2016, https://doi.org/10.1109/TASLP.2016.2585878.

    Raises:
        MetricError: as `check_pair`, or less than about 0.4 s of sound.
    """
    return _stoi(reference, estimate, sample_rate, extended=True)


def _stoi(reference: Wav, estimate: Wav, sample_rate: int, extended: bool) -> float:
    import pystoi

    pair = check_pair(reference, estimate, sample_rate, min_seconds=0.4)
    reference, estimate = at_rate(pair, sample_rate, _RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pystoi warns and returns 1e-5 where it cannot score
        try:
            score = float(pystoi.stoi(reference, estimate, _RATE, extended=extended))
        except (RuntimeWarning, ValueError, IndexError) as error:
            raise MetricError("STOI needs at least 0.4 s that are not silent; score a longer file") from error
    return check_score("STOI", score)


def visqol_speech(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Speech mode at 16 kHz with the lattice model, the default of the published program; MOS-LQO 1 to 5.

    Raises:
        MetricError: as `check_pair`, under 0.8 s, or ViSQOL finds nothing to compare.
        MissingPackageError: visqol-python or ai-edge-litert is not installed.
    """
    return _visqol(reference, estimate, sample_rate, "speech", True)


def visqol_speech_polynomial(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Speech mode at 16 kHz with the polynomial of older papers; MOS-LQO 1 to 5.

    Raises:
        MetricError: as `visqol_speech`.
        MissingPackageError: visqol-python is not installed.
    """
    return _visqol(reference, estimate, sample_rate, "speech", False)


def visqol_audio(reference: Wav, estimate: Wav, sample_rate: int) -> float:
    """Audio mode at 48 kHz, which SoundStream and many after it report; MOS-LQO 1 to 4.73.

    Raises:
        MetricError: as `visqol_speech`.
        MissingPackageError: visqol-python is not installed.
    """
    return _visqol(reference, estimate, sample_rate, "audio", None)


def _visqol(reference: Wav, estimate: Wav, sample_rate: int, mode: str, lattice: bool | None) -> float:
    rate = 48000 if mode == "audio" else 16000
    pair = check_pair(reference, estimate, sample_rate, min_seconds=_VISQOL_SECONDS)
    reference, estimate = at_rate(pair, sample_rate, rate)
    api = _visqol_api(mode, lattice)
    try:
        score = float(api.measure_from_arrays(reference, estimate, rate).moslqo)
    except (ValueError, IndexError, RuntimeError) as error:
        raise MetricError(f"ViSQOL cannot be computed: {error}") from error
    return check_score("ViSQOL", score)


@lru_cache(maxsize=3)
def _visqol_api(mode: str, lattice: bool | None) -> Any:
    if lattice:
        require("ai_edge_litert.interpreter", "ViSQOL's lattice model", INSTALL_VISQOL)
    api = require("visqol", "ViSQOL", INSTALL_VISQOL).VisqolApi()
    api.create(mode=mode, use_lattice_model=lattice)
    return api
