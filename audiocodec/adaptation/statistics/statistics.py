"""Statistics of audio as one model codes it, joined across files and machines by `+`, and their file.

The file is safetensors: arrays by name, the rest as JSON in its metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from audiocodec.adaptation.statistics.accumulators import (
    BIGRAM_BUCKETS,
    BINS,
    CodeUse,
    ErrorStatistics,
    Moments,
    Reservoir,
)
from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED, parse_json, read_bytes
from audiocodec.storage import new_file


@dataclass(frozen=True, eq=False)
class StageStatistics:
    """One step of the ladder: what comes into it, which entries it takes, what it leaves.

    Attributes:
        codes: use of the codes of each of its rows; one row, but for products.
        latents: moments of its input: of the encoder's output for the first stage, else of the residual;
            `count` 0 where they were not gathered.
        error: of what it leaves, that is of the next stage's input.
    """

    codes: tuple[CodeUse, ...]
    latents: Moments
    error: ErrorStatistics

    @property
    def relative_error(self) -> float:
        """Mean squared error over the variance of the stage's own input; 0 where either is missing."""
        return self.error.mean / self.latents.variance if self.latents.variance else 0.0

    def __add__(self, other: StageStatistics) -> StageStatistics:
        """Of both."""
        codes = tuple(mine + theirs for mine, theirs in zip(self.codes, other.codes, strict=True))
        return StageStatistics(codes, self.latents + other.latents, self.error + other.error)


@dataclass(frozen=True, eq=False)
class Statistics:
    """What audio looks like to a model at one step of its ladder.

    `a + b` is what one collector would have found that saw both, exactly for counts and to the rounding of
    double precision for sums. Statistics of codes alone have `latents.count` 0 in every stage.

    Attributes:
        model_id: identity of the model, "" if it was not given.
        codebook_id: identity of the codebooks that chose the codes, likewise.
        num_quantizers: rows of codes.
        frame_rate: frames a second.
        frames: frames whose codes were counted.
        stages: one for each step of the ladder up to `num_quantizers`.
        reservoir: a sample of the encoder's output, from which all stages can be had anew.
    """

    model_id: str
    codebook_id: str
    num_quantizers: int
    frame_rate: float
    frames: int
    stages: tuple[StageStatistics, ...]
    reservoir: Reservoir

    @property
    def dim(self) -> int:
        """Width D of the latents."""
        return self.reservoir.vectors.shape[1]

    @property
    def seconds(self) -> float:
        """Of one channel of audio."""
        return self.frames / self.frame_rate

    @property
    def codes_only(self) -> bool:
        """Whether no latents were seen."""
        return not self.stages[0].latents.count

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Entries of each row of codes."""
        return tuple(len(use.counts) for use in self.codes)

    @property
    def codes(self) -> tuple[CodeUse, ...]:
        """Use of the codes, row by row through all stages."""
        return tuple(use for stage in self.stages for use in stage.codes)

    @property
    def variance(self) -> float:
        """Of the encoder's output, summed over its dimensions."""
        return self.stages[0].latents.variance

    @property
    def relative_errors(self) -> tuple[float, ...]:
        """Mean squared error after each stage over the variance of the encoder's output; 0 if unknown."""
        variance = self.variance
        return tuple(stage.error.mean / variance if variance else 0.0 for stage in self.stages)

    @property
    def error_shares(self) -> tuple[float, ...]:
        """Share of the energy coming into each stage that it leaves; 0 of codes alone.

        For the first stage energy is counted about the mean, for residuals about zero.
        """
        energies = [self.variance, *(stage.error.mean for stage in self.stages)]
        return tuple(after / before if before else 0.0 for before, after in pairwise(energies))

    def __add__(self, other: Statistics) -> Statistics:
        """Of both.

        Raises:
            InputError: they are of different models, codebooks or steps of the ladder.
        """
        self.check_same_kind(other)
        return replace(
            self,
            frames=self.frames + other.frames,
            stages=tuple(mine + theirs for mine, theirs in zip(self.stages, other.stages, strict=True)),
            reservoir=self.reservoir + other.reservoir,
        )

    def check_same_kind(self, other: Statistics) -> None:
        """Refuse statistics that cannot be joined with these.

        Raises:
            InputError: says what differs.
        """
        for what in ("model_id", "codebook_id", "num_quantizers", "frame_rate", "codebook_sizes", "dim"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise InputError(f"statistics differ in {what} ({mine} and {theirs}); collect them alike")


VERSION = 1
MAX_FILE_BYTES = 256 << 20
MAX_HEADER_BYTES = 1 << 20
MAX_CAPACITY = 1 << 20
LARGEST = 1e30
"""Of all values: their squares and sums are finite."""
_COUNTS = ("counts", "bigrams", "repeats", "latent_counts", "error_counts", "error_histograms")
Arrays = dict[str, NDArray[Any]]


def save_statistics(path: str | os.PathLike[str], statistics: Statistics, *, overwrite: bool = False) -> None:
    """Write statistics to a file, whole or not at all. Equal statistics are equal files.

    Raises:
        InputError: the file is there already, or cannot be written.
    """
    arrays, facts = to_arrays(statistics)
    document = {"kind": "statistics", "version": VERSION, **facts}
    data = to_safetensors(arrays, {"audiocodec": json.dumps(document, sort_keys=True)})
    with new_file(path, overwrite) as temporary:
        temporary.write_bytes(data)


def load_statistics(path: str | os.PathLike[str]) -> Statistics:
    """Read statistics from a file.

    Raises:
        InputError: there is none, or it is damaged, too large or of another kind.
    """
    arrays, document = read_file(Path(path), "statistics")
    try:
        return from_arrays(arrays, document)
    except MALFORMED as error:
        raise InputError(f"{path}: damaged ({error!r}); collect it again") from error


def read_file(path: Path, kind: str) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and JSON of one of our files, its size checked before memory is taken.

    Raises:
        InputError: there is none, or it is damaged, too large or of another kind.
    """
    data = read_bytes(path, MAX_FILE_BYTES)
    size = int.from_bytes(data[:8], "little")
    try:
        if not 0 < size <= min(len(data), MAX_HEADER_BYTES):
            raise InputError("a header of an impossible size")
        header = parse_json(data[8 : 8 + size])
        document = parse_json(header["__metadata__"]["audiocodec"])
        if document["kind"] != kind or document["version"] != VERSION:
            found = f"{document['kind']!r} version {document['version']!r}"
            raise InputError(f"holds {found}; expected {kind} version {VERSION}")
        return from_safetensors(data), document
    except MALFORMED as error:
        raise InputError(f"{path}: damaged, or no file of {kind} ({error}); collect it again") from error


def to_arrays(statistics: Statistics) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and JSON that `from_arrays` makes statistics of. Covariances keep their upper triangle."""
    upper = np.triu_indices(statistics.dim)
    stages, codes = statistics.stages, statistics.codes
    moments, errors = [stage.latents for stage in stages], [stage.error for stage in stages]
    arrays: Arrays = {
        "counts": np.concatenate([use.counts for use in codes]),
        "bigrams": np.stack([use.bigrams for use in codes]),
        "repeats": np.array([use.repeats for use in codes]),
        "means": np.stack([part.mean for part in moments]),
        "scatters": np.stack([part.scatter[upper] for part in moments]),
        "latent_counts": np.array([part.count for part in moments]),
        "error_sums": np.array([[part.total, part.squares] for part in errors]),
        "error_counts": np.array([part.count for part in errors]),
        "error_histograms": np.stack([part.histogram for part in errors]),
        "reservoir": statistics.reservoir.vectors,
        "reservoir_keys": statistics.reservoir.keys,
    }
    facts = {
        "model_id": statistics.model_id,
        "codebook_id": statistics.codebook_id,
        "frame_rate": statistics.frame_rate,
        "frames": statistics.frames,
        "codebook_sizes": list(statistics.codebook_sizes),
        "rows": [len(stage.codes) for stage in stages],
        "reservoir": [statistics.reservoir.capacity, statistics.reservoir.seen],
    }
    return arrays, facts


def from_arrays(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Statistics:
    """Statistics out of arrays and JSON from outside.

    Raises:
        InputError, or one of MALFORMED: they are none.
    """
    sizes, rows = [int(size) for size in facts["codebook_sizes"]], [int(n) for n in facts["rows"]]
    dim = int(arrays["means"].shape[1])
    if not rows or sum(rows) != len(sizes) or min(rows) < 1 or min(sizes) < 1 or dim < 1:
        raise InputError("stages and rows of codes do not fit")
    _check_shapes(arrays, sizes, len(rows), dim)
    counts = np.split(arrays["counts"].astype(np.int64), np.cumsum(sizes)[:-1])
    bigrams, repeats = arrays["bigrams"].astype(np.int64), arrays["repeats"]
    uses = [
        CodeUse(count, pairs, int(number))
        for count, pairs, number in zip(counts, bigrams, repeats, strict=True)
    ]
    ends = np.cumsum(rows)
    stages = tuple(
        StageStatistics(tuple(uses[end - count : end]), _moments(arrays, number), _error(arrays, number))
        for number, (count, end) in enumerate(zip(rows, ends, strict=True))
    )
    capacity, seen = (int(number) for number in facts["reservoir"])
    if not 0 <= len(arrays["reservoir"]) <= capacity <= MAX_CAPACITY:
        raise InputError("the reservoir holds more than it can")
    vectors, keys = arrays["reservoir"].astype(np.float32), arrays["reservoir_keys"].astype(np.float64)
    return Statistics(
        model_id=str(facts["model_id"]),
        codebook_id=str(facts["codebook_id"]),
        num_quantizers=len(sizes),
        frame_rate=_within(facts, "frame_rate", 0.1, 1e6),
        frames=int(_within(facts, "frames", 0, 1e15)),
        stages=stages,
        reservoir=Reservoir(vectors, keys, capacity, seen),
    )


def _within(facts: Mapping[str, Any], name: str, least: float, most: float) -> float:
    value = float(facts[name])
    if not least <= value <= most:
        raise InputError(f"{name} is {value:g}; from {least:g} to {most:g} is possible")
    return value


def _moments(arrays: Mapping[str, NDArray[Any]], stage: int) -> Moments:
    mean = arrays["means"][stage].astype(np.float64)
    upper = np.triu_indices(len(mean))
    scatter = np.zeros((len(mean), len(mean)))
    scatter[upper] = arrays["scatters"][stage]
    scatter.T[upper] = arrays["scatters"][stage]
    return Moments(int(arrays["latent_counts"][stage]), mean, scatter)


def _error(arrays: Mapping[str, NDArray[Any]], stage: int) -> ErrorStatistics:
    total, squares = (float(number) for number in arrays["error_sums"][stage])
    histogram = arrays["error_histograms"][stage].astype(np.int64)
    return ErrorStatistics(int(arrays["error_counts"][stage]), total, squares, histogram)


def _check_shapes(arrays: Mapping[str, NDArray[Any]], sizes: list[int], stages: int, dim: int) -> None:
    held = arrays["reservoir"].shape[0]
    wanted = {
        "counts": (sum(sizes),),
        "bigrams": (len(sizes), BIGRAM_BUCKETS),
        "repeats": (len(sizes),),
        "means": (stages, dim),
        "scatters": (stages, dim * (dim + 1) // 2),
        "latent_counts": (stages,),
        "error_sums": (stages, 2),
        "error_counts": (stages,),
        "error_histograms": (stages, BINS),
        "reservoir": (held, dim),
        "reservoir_keys": (held,),
    }
    for name, shape in wanted.items():
        if arrays[name].shape != shape:
            raise InputError(f"{name} is {arrays[name].shape}, not {shape}")
        values = arrays[name]
        if values.dtype.kind not in "fiu" or not (np.abs(values.astype(np.float64)) <= LARGEST).all():
            raise InputError(f"{name} holds values that are not finite numbers, or too large")
        if name in _COUNTS and (values < 0).any():
            raise InputError(f"{name} holds negative counts")
