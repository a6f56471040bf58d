"""Checks and converts samples of callers to float32 [C, L] in [-1, 1]; accepts tensors without torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import InputError, SampleRateError

MIN_SAMPLE_RATE = 8_000
MAX_SAMPLE_RATE = 192_000
MAX_CHANNELS = 64
_FULL_SCALE = {"int8": 1 << 7, "int16": 1 << 15, "int32": 1 << 31}
CANCELLED = 1e-3  # channels whose mean stays below this share of their own peak cancel each other: -60 dB
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


def as_samples(wav: Any, sample_rate: int | None = None, start: int = 0) -> NDArray[np.float32]:
    """Turn a numpy array, torch tensor or list [..., L] into checked float32.

    Integers are divided by their full scale. `start` is the place of the first sample in a longer recording,
    for messages only.

    Raises:
        InputError: the values are no audio: wrong type, NaN, infinity, far outside [-1, 1].
    """
    array = as_array(wav)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32 becomes infinity, which is refused below
            samples = array.astype(np.float32, copy=False)
    elif array.dtype.name in _FULL_SCALE:
        samples = array.astype(np.float32) / np.float32(_FULL_SCALE[array.dtype.name])
    else:
        raise InputError(f"samples of type {array.dtype}: give float, int16 or int32")
    check_samples(samples, sample_rate, start)
    return samples


def as_array(values: Any) -> NDArray[Any]:
    """A numpy array, torch tensor or list as an array of its own type; bfloat16 becomes float32.

    Raises:
        InputError: rows of different lengths, or a tensor without values.
    """
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            values = values.float().numpy() if values.dtype.is_floating_point else values.numpy()
        return np.asarray(values)
    except (TypeError, ValueError, NotImplementedError) as error:  # ragged; sparse, quantized, meta tensors
        raise InputError(
            f"{type(values).__name__} is no array of numbers ({error}); give [L] or [C, L]"
        ) from error


def as_channels(wav: Any, sample_rate: int | None = None, start: int = 0) -> NDArray[np.float32]:
    """Like `as_samples`, from [L] or [C, L] to [C, L].

    Raises:
        InputError: as `as_samples`; or another number of dimensions, or more channels than are supported.
    """
    samples = as_samples(wav, sample_rate, start)
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2 or not 1 <= samples.shape[0] <= MAX_CHANNELS:
        raise InputError(
            f"samples of shape {samples.shape}: give [L] or [C, L] with 1 to {MAX_CHANNELS} channels"
            + ("; transpose an array [L, C]" if samples.ndim == 2 else "")
        )
    return samples


def mono(blocks: Iterable[NDArray[np.float32]], name: object) -> Iterator[NDArray[np.float32]]:
    """The mean of the channels of the blocks [C, L] of a recording called `name`, as blocks [1, L].

    Raises:
        InputError: after the last block, when the channels cancel each other, as those of stereo do of which
            one is inverted.
    """
    peak = mixed_peak = 0.0
    for block in blocks:
        mixed = block.mean(axis=0, keepdims=True)
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
        mixed_peak = max(mixed_peak, float(np.abs(mixed).max(initial=0.0)))
        yield mixed
    if mixed_peak < CANCELLED * peak:
        raise InputError(
            f"{name}: its channels cancel each other where they are averaged;"
            " invert one of them, or keep one alone"
        )
