"""Codebooks as changes to others: what moved a little takes one byte a number, what is new takes four.

An entry changed by rounded steps is `old + step * 2^exponent` with integer steps of one byte and one exponent
an entry. The product is exact in single precision and the sum is rounded once, so every machine gets the same
bits. Codebooks that `round_changes` has put on that grid are stored so without loss; all others exactly, too,
but four times larger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import RegistryError

if TYPE_CHECKING:
    from torch import Tensor

Array = NDArray[np.float32]
Named = dict[str, NDArray[Any]]
T = TypeVar("T", bound=np.generic)

LARGEST_STEP = 127
FINEST = 20
"""Steps are at least 2^-20 of the largest number in the old entry, 8 times what single precision resolves:
a rounded entry is then found on the grid again."""
EXPONENTS = (-120, 120)
SEPARATOR = "/"


def round_changes(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Codebooks like `new`, each changed entry [D] rounded to `old` plus whole steps.

    The largest change of an entry is between 64 and 127 steps, so the error is at most 1/128 of it: some 40
    dB below the change. Judge the rounded codebooks, and publish those. Rounding them again changes nothing.
    Tensors that are not [K, D], or not in `old`, stay as they are.
    """
    import torch

    rounded = dict(new)
    for name, codebook in new.items():
        if name in old and codebook.dim() == 2 and codebook.shape == old[name].shape:
            before, after = _array(old[name]), _array(codebook)
            rows = _changed(before, after)
            result = after.copy()
            result[rows] = _move(before[rows], *_steps(before[rows], after[rows]))
            rounded[name] = torch.from_numpy(result).to(codebook.device)
    return rounded


def difference(old: Mapping[str, Array], new: Mapping[str, Array]) -> Named:
    """Arrays from which `apply` makes `new` out of `old`; names follow FORMAT in docs/reference/store.md."""
    arrays: Named = {}
    for name, after in new.items():
        before = old.get(name)
        if before is None or before.shape != after.shape or after.ndim != 2:
            if before is None or before.shape != after.shape or _changed(before, after).size:
                arrays[name] = after
            continue
        rows = _changed(before, after)
        exponents, steps = _steps(before[rows], after[rows])
        near = _same(_move(before[rows], exponents, steps), after[rows])
        if near.any():
            arrays[f"{name}/rows"] = rows[near].astype(np.uint32)
            arrays[f"{name}/exponents"], arrays[f"{name}/steps"] = exponents[near], steps[near]
        if not near.all():
            arrays[f"{name}/new_rows"] = rows[~near].astype(np.uint32)
            arrays[f"{name}/new"] = after[rows[~near]]
    return arrays


def apply(old: Mapping[str, Array], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
    """The new codebooks; those without a change stay.

    Raises:
        RegistryError: the arrays do not fit the codebooks.
    """
    result = {name: codebook.copy() for name, codebook in old.items()}
    for key in arrays:
        name, _, part = key.partition(SEPARATOR)
        if not part:
            result[name] = _typed(arrays, key, np.float32).copy()
        elif part == "rows":
            rows = _rows(result, arrays, key, name)
            exponents, steps = (_typed(arrays, f"{name}/{end}", np.int8) for end in ("exponents", "steps"))
            if exponents.shape != rows.shape or steps.shape != result[name][rows].shape:
                raise RegistryError(f"the change of codebook {name} does not fit it")
            result[name][rows] = _move(result[name][rows], exponents, steps)
        elif part == "new_rows":
            rows, new = _rows(result, arrays, key, name), _typed(arrays, f"{name}/new", np.float32)
            if new.shape != result[name][rows].shape:
                raise RegistryError(f"the new entries of codebook {name} do not fit it")
            result[name][rows] = new
        elif part not in ("exponents", "steps", "new"):
            raise RegistryError(f"{key!r} is not a part of a change of codebooks")
    return result


def count_changed(old: Mapping[str, Array], new: Mapping[str, Array]) -> dict[str, int]:
    """Entries (rows) that differ, for each codebook that differs."""
    counts = {
        name: len(np.atleast_1d(codebook)) if name not in old or old[name].shape != codebook.shape
        else int(_changed(old[name], codebook).size)
        for name, codebook in new.items()
    }  # fmt: skip
    return {name: count for name, count in counts.items() if count}


def _array(codebook: Tensor) -> Array:
    return codebook.detach().cpu().float().contiguous().numpy()


def _same(left: Array, right: Array) -> NDArray[np.bool_]:
    """Rows [K] that are equal to the last bit; codebooks are named by their bits."""
    equal = np.ascontiguousarray(left).view(np.int32) == np.ascontiguousarray(right).view(np.int32)
    return equal.all(axis=tuple(range(1, equal.ndim)))


def _changed(old: Array, new: Array) -> NDArray[np.intp]:
    return np.flatnonzero(~_same(np.atleast_1d(old), np.atleast_1d(new)))


def _steps(old: Array, new: Array) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Exponents [M] and steps [M, D] nearest to the change of entries [M, D]."""
    change = new.astype(np.float64) - old
    peak = np.abs(change).max(axis=1, initial=0.0)
    # The smallest exponent whose steps, rounded, are at most 127.
    exponents = np.frexp(peak / (LARGEST_STEP + 0.5))[1]
    largest = np.abs(old).max(axis=1, initial=0.0)
    floor = np.where(largest > 0, np.frexp(largest)[1] - FINEST, EXPONENTS[0])
    exponents = np.clip(np.maximum(exponents, floor), *EXPONENTS).astype(np.int8)
    steps = np.rint(np.ldexp(change, -exponents.astype(np.int32)[:, None]))
    return exponents, np.clip(steps, -LARGEST_STEP, LARGEST_STEP).astype(np.int8)


def _move(old: Array, exponents: NDArray[np.int8], steps: NDArray[np.int8]) -> Array:
    return old + np.ldexp(steps.astype(np.float32), exponents.astype(np.int32)[:, None])


def _typed(arrays: Mapping[str, NDArray[Any]], key: str, kind: type[T]) -> NDArray[T]:
    array = arrays.get(key)
    if array is None or array.dtype != kind:
        raise RegistryError(f"{key!r} is missing or not of type {np.dtype(kind).name}")
    return array


def _rows(
    codebooks: Mapping[str, Array], arrays: Mapping[str, NDArray[Any]], key: str, name: str
) -> NDArray[np.int64]:
    rows = _typed(arrays, key, np.uint32).astype(np.int64)
    codebook = codebooks.get(name)
    if codebook is None or codebook.ndim != 2 or rows.ndim != 1:
        raise RegistryError(f"{key!r} changes a codebook that is not there")
    if rows.size and (rows[-1] >= len(codebook) or bool((np.diff(rows) <= 0).any())):
        raise RegistryError(f"{key!r} names entries that codebook {name} does not have, or names one twice")
    return rows
