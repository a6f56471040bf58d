"""Baselines in safetensors files, small enough to come with a model: samples are in half precision."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as to_safetensors

from audiocodec import pretrained
from audiocodec.adaptation.drift.baseline import Baseline
from audiocodec.adaptation.drift.measures import CODE_MEASURES, ERROR_MEASURES, LATENT_MEASURES
from audiocodec.adaptation.drift.null import NullDistribution
from audiocodec.adaptation.statistics.statistics_file import VERSION, from_arrays, read_file, to_arrays
from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED
from audiocodec.storage import new_file

BASELINE_NAME = "baseline.safetensors"
"""Beside the weights of a model."""
MAX_NAME_LENGTH = 64
MAX_FRAMES = 1 << 40
"""Of a window."""
_NULL = "null."
_KINDS = {"scatters": np.float32, "means": np.float32, "reservoir": np.float16, "reservoir_keys": np.float32}
_COUNTS = ("counts", "bigrams", "repeats", "error_histograms")


def save_baseline(path: str | os.PathLike[str], baseline: Baseline, *, overwrite: bool = False) -> None:
    """Write a baseline to a file, whole or not at all.

    Raises:
        InputError: the file is there already, or cannot be written.
    """
    arrays, facts = to_arrays(baseline.statistics)
    for name, kind in _KINDS.items():
        arrays[name] = arrays[name].astype(kind)
    for name in _COUNTS:
        arrays[name] = arrays[name].astype(np.uint32)
    arrays |= {_NULL + name: drawn.astype(np.float16) for name, drawn in baseline.null.samples.items()}
    document = {
        "kind": "baseline",
        "version": VERSION,
        "name": baseline.name,
        "lengths": list(baseline.null.lengths),
        "facts": dict(baseline.facts),
        "statistics": facts,
    }
    data = to_safetensors(arrays, {"audiocodec": json.dumps(document, sort_keys=True)})
    with new_file(path, overwrite) as temporary:
        temporary.write_bytes(data)


def load_baseline(path: str | os.PathLike[str]) -> Baseline:
    """Read a baseline from a file.

    Raises:
        InputError: there is none, or it is damaged, too large or of another kind.
    """
    arrays, document = read_file(Path(path), "baseline")
    try:
        null = {name.removeprefix(_NULL): arrays.pop(name) for name in list(arrays) if name.startswith(_NULL)}
        statistics = from_arrays(arrays, document["statistics"])
        name, facts = str(document["name"]), dict(document["facts"])
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME_LENGTH:
            raise InputError("its name is no plain text")
        return Baseline(
            name,
            statistics,
            _null(null, document["lengths"], statistics.num_quantizers, len(statistics.stages)),
            facts,
        )
    except MALFORMED as error:
        raise InputError(f"{path}: damaged ({error}); make the baseline again") from error


def find_baseline(model: str | os.PathLike[str] | None = None) -> Baseline:
    """The baseline that comes with a model: a pretrained one by name (None: the default), or a model folder.

    Raises:
        InputError: it has none; says how to make one.
        RegistryError: there is no such model, or its files were changed.
    """
    path = pretrained.find(pretrained.default_model() if model is None else os.fspath(model))
    folder = path if path.is_dir() else path.parent
    if not (folder / BASELINE_NAME).is_file():
        raise InputError(
            f"{folder}: the model has no {BASELINE_NAME}; make one of clean audio with audiocodec"
            " baseline DIR -o FILE, and name it with --baseline"
        )
    return load_baseline(folder / BASELINE_NAME)


def _null(arrays: dict[str, NDArray[Any]], lengths: list[Any], rows: int, stages: int) -> NullDistribution:
    sizes: dict[str, int] = dict.fromkeys(map(str, CODE_MEASURES), rows)
    sizes |= dict.fromkeys(ERROR_MEASURES, stages)
    sizes |= dict.fromkeys(LATENT_MEASURES, 1)
    if not arrays or not lengths or sorted({int(length) for length in lengths}) != lengths or lengths[0] < 1:
        raise InputError("it has no null distribution")
    windows = next(iter(arrays.values())).shape[1]
    if windows < 1 or lengths[-1] > MAX_FRAMES:
        raise InputError("its null distribution has no windows, or endless ones")
    if arrays.keys() != sizes.keys():
        raise InputError(f"null distributions of {', '.join(sorted(arrays.keys() ^ sizes.keys()))}")
    samples = {name: drawn.astype(np.float32) for name, drawn in arrays.items()}
    for name, drawn in samples.items():
        if drawn.shape != (len(lengths), windows, sizes[name]) or not np.isfinite(drawn).all():
            raise InputError(f"null distribution of {name} does not fit")
    return NullDistribution(tuple(int(length) for length in lengths), samples)
