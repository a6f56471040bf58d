"""Any array of samples a caller may hold as float32 in [-1, 1]; knows tensors without importing torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio.samples import MAX_CHANNELS, check_samples
from audiocodec.errors import InputError

_FULL_SCALE = {"int8": 1 << 7, "int16": 1 << 15, "int32": 1 << 31}


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
