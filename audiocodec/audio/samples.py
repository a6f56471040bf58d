"""What counts as usable audio: channel counts, sample rates and sample values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import InputError, SampleRateError

MIN_SAMPLE_RATE = 8_000
MAX_SAMPLE_RATE = 192_000
MAX_CHANNELS = 64
LOUDEST = 1000.0  # 60 dB over full scale: such samples were never scaled to [-1, 1]


def check_sample_rate(sample_rate: Any) -> int:
    """Return `sample_rate` in Hz when it is supported.

    Raises:
        SampleRateError: not a whole number between 8 and 192 kHz.
    """
    try:
        whole = int(sample_rate)
    except (TypeError, ValueError, OverflowError):  # nothing, NaN, infinity
        whole = 0
    if whole != sample_rate or not MIN_SAMPLE_RATE <= whole <= MAX_SAMPLE_RATE:
        raise SampleRateError(
            f"sample rate {sample_rate!r} Hz is not supported; use a whole number from {MIN_SAMPLE_RATE} to"
            f" {MAX_SAMPLE_RATE}"
        )
    return whole


def check_samples(wav: NDArray[np.float32], sample_rate: int | None = None, start: int = 0) -> None:
    """Refuse samples no codec can carry: NaN, infinity, values far outside [-1, 1].

    `wav` is `[..., L]`; `start` is the position of its first sample in the file, counted in samples.

    Raises:
        InputError: says where the first bad sample lies, in seconds when the sample rate is given.
    """
    if not wav.size:
        return
    peak = float(np.abs(wav).max())  # NaN when any sample is
    if peak <= LOUDEST:
        return
    bad = ~(np.abs(wav) <= LOUDEST)
    position = start + int(np.flatnonzero(bad.reshape(-1, wav.shape[-1]).any(axis=0))[0])
    where = f"at {position / sample_rate:.3f} s" if sample_rate else f"at sample {position}"
    if np.isfinite(peak):
        raise InputError(
            f"samples reach {peak:g} {where}, full scale is 1.0; divide them by their full scale"
        )
    raise InputError(f"a sample is not a finite number (NaN or infinity) {where}; repair or cut that part")
