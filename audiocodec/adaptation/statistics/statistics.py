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
    """One stage of the quantizer: which entries it uses, and the error it leaves.

    Attributes:
        codes: use of the codes of each quantizer in the stage; a product quantizer has several.
        error: what remains of the latents after this stage, which is the input of the next one.
    """

    codes: tuple[CodeUse, ...]
    error: ErrorStatistics

    def __add__(self, other: StageStatistics) -> StageStatistics:
        """Statistics of both."""
        codes = tuple(mine + theirs for mine, theirs in zip(self.codes, other.codes, strict=True))
        return StageStatistics(codes, self.error + other.error)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of audio as a model codes it with `num_quantizers` quantizers.

    `a + b` is what one collector would have gathered from both: exactly for counts, and up to rounding in
    double precision for sums. Statistics of codes alone have `latents.count` 0.

    Attributes:
        model_id: identity of the model; "" if it was not given.
        codebook_id: identity of the codebooks that chose the codes; "" if it was not given.
        frame_rate: frames per second.
        frames: number of frames whose codes were counted.
        latents: moments of the encoder's output.
        stages: one for each stage up to `num_quantizers`.
        reservoir: a sample of the encoder's output; all stages can be computed again from it.
    """

    model_id: str
    codebook_id: str
    num_quantizers: int
    frame_rate: float
    frames: int
    latents: Moments
    stages: tuple[StageStatistics, ...]
    reservoir: Reservoir

    @property
    def dim(self) -> int:
        """Width D of the latents."""
        return self.reservoir.vectors.shape[1]

    @property
    def seconds(self) -> float:
        """Duration in seconds, all channels added up."""
        return self.frames / self.frame_rate

    @property
    def codes_only(self) -> bool:
        """Whether no latents were seen."""
        return not self.latents.count

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Number of entries of each quantizer."""
        return tuple(len(use.counts) for use in self.codes)

    @property
    def codes(self) -> tuple[CodeUse, ...]:
        """Use of the codes of each quantizer, through all stages."""
        return tuple(use for stage in self.stages for use in stage.codes)

    @property
    def variance(self) -> float:
        """Variance of the encoder's output, summed over its dimensions."""
        return self.latents.variance

    @property
    def relative_errors(self) -> tuple[float, ...]:
        """Mean squared error after each stage, over the variance of the encoder's output; 0 if unknown."""
        variance = self.variance
        return tuple(stage.error.mean / variance if variance else 0.0 for stage in self.stages)

    @property
    def error_shares(self) -> tuple[float, ...]:
        """Share of the energy of its input that each stage leaves; 0 for statistics of codes alone.

        The energy of the first input is its variance; the energy of a residual is its mean square.
        """
        energies = [self.variance, *(stage.error.mean for stage in self.stages)]
        return tuple(after / before if before else 0.0 for before, after in pairwise(energies))

    def __add__(self, other: Statistics) -> Statistics:
        """Statistics of both.

        Raises:
            InputError: the two differ in model, codebooks or number of quantizers.
        """
        self.check_same_kind(other)
        return replace(
            self,
            frames=self.frames + other.frames,
            latents=self.latents + other.latents,
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
                raise InputError(
                    f"statistics cannot be added: they differ in {what} ({mine} and {theirs}); collect both"
                    " with the same model, codebooks and bitrate"
                )


VERSION = 1
MAX_FILE_BYTES = 256 << 20
MAX_HEADER_BYTES = 1 << 20
MAX_CAPACITY = 1 << 20
LARGEST = 1e30
"""Largest absolute value that is read; squares and sums of smaller values are finite."""
_COUNTS = ("counts", "bigrams", "repeats", "latent_counts", "error_counts", "error_histograms")
Arrays = dict[str, NDArray[Any]]


def save_statistics(path: str | os.PathLike[str], statistics: Statistics, *, overwrite: bool = False) -> None:
    """Write statistics to a file, whole or not at all. Equal statistics are equal files.

    Raises:
        InputError: the file exists already, or cannot be written.
    """
    write_file(path, "statistics", *to_arrays(statistics), overwrite)


def load_statistics(path: str | os.PathLike[str]) -> Statistics:
    """Read statistics from a file.

    Raises:
        InputError: the file is missing, damaged, too large or of another kind.
    """
    arrays, document = read_file(Path(path), "statistics")
    try:
        return from_arrays(arrays, document)
    except MALFORMED as error:
        raise InputError(f"{path}: damaged ({error!r}); make it again") from error


def write_file(
    path: str | os.PathLike[str], kind: str, arrays: Arrays, document: Mapping[str, Any], overwrite: bool
) -> None:
    """Write arrays and JSON so that `read_file` gives them, whole or not at all.

    Raises:
        InputError: the file exists already, or cannot be written.
    """
    document = {"kind": kind, "version": VERSION, **document}
    data = to_safetensors(arrays, {"audiocodec": json.dumps(document, sort_keys=True)})
    with new_file(path, overwrite) as temporary:
        temporary.write_bytes(data)


def read_file(path: Path, kind: str) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and JSON of one of our files, its size checked before memory is taken.

    Raises:
        InputError: the file is missing, damaged, too large or of another kind.
    """
    data = read_bytes(path, MAX_FILE_BYTES)
    size = int.from_bytes(data[:8], "little")
    try:
        if not 0 < size <= min(len(data), MAX_HEADER_BYTES):
            raise InputError("its header has an impossible size")
        header = parse_json(data[8 : 8 + size])
        document = parse_json(header["__metadata__"]["audiocodec"])
        if document["kind"] != kind or document["version"] != VERSION:
            raise InputError(
                f"it holds {document['kind']!r} version {document['version']!r};"
                f" expected {kind} version {VERSION}"
            )
        return from_safetensors(data), document
    except MALFORMED as error:
        raise InputError(f"{path}: damaged, or not a file of {kind} ({error}); make it again") from error


def to_arrays(statistics: Statistics) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and JSON from which `from_arrays` makes statistics. Of scatters the upper triangle is kept.

    Moments have a place for each stage. Only the first is used, for the encoder's output; the others are 0.
    """
    upper = np.triu_indices(statistics.dim)
    stages, codes = statistics.stages, statistics.codes
    errors = [stage.error for stage in stages]
    moments = [statistics.latents, *[Moments.empty(statistics.dim)] * (len(stages) - 1)]
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
    """Statistics from arrays and JSON that were read from a file.

    Raises:
        InputError, or one of MALFORMED: these do not describe statistics.
    """
    sizes, widths = [int(size) for size in facts["codebook_sizes"]], [int(n) for n in facts["rows"]]
    dim = int(arrays["means"].shape[1])
    if not widths or sum(widths) != len(sizes) or min(widths) < 1 or min(sizes) < 1 or dim < 1:
        raise InputError("the numbers of stages and of quantizers do not fit")
    _check_shapes(arrays, sizes, len(widths), dim)
    counts = np.split(arrays["counts"].astype(np.int64), np.cumsum(sizes)[:-1])
    bigrams, repeats = arrays["bigrams"].astype(np.int64), arrays["repeats"]
    uses = [
        CodeUse(count, pairs, int(number))
        for count, pairs, number in zip(counts, bigrams, repeats, strict=True)
    ]
    ends = np.cumsum(widths)
    stages = tuple(
        StageStatistics(tuple(uses[end - width : end]), _error(arrays, number))
        for number, (width, end) in enumerate(zip(widths, ends, strict=True))
    )
    capacity, seen = (int(number) for number in facts["reservoir"])
    if not 0 <= len(arrays["reservoir"]) <= capacity <= MAX_CAPACITY:
        raise InputError("the reservoir holds more vectors than its capacity")
    vectors, keys = arrays["reservoir"].astype(np.float32), arrays["reservoir_keys"].astype(np.float64)
    return Statistics(
        model_id=str(facts["model_id"]),
        codebook_id=str(facts["codebook_id"]),
        num_quantizers=len(sizes),
        frame_rate=_within(facts, "frame_rate", 0.1, 1e6),
        frames=int(_within(facts, "frames", 0, 1e15)),
        latents=_moments(arrays),
        stages=stages,
        reservoir=Reservoir(vectors, keys, capacity, seen),
    )


def _within(facts: Mapping[str, Any], name: str, least: float, most: float) -> float:
    value = float(facts[name])
    if not least <= value <= most:
        raise InputError(f"{name} is {value:g}; allowed are {least:g} to {most:g}")
    return value


def _moments(arrays: Mapping[str, NDArray[Any]]) -> Moments:
    mean = arrays["means"][0].astype(np.float64)
    upper = np.triu_indices(len(mean))
    scatter = np.zeros((len(mean), len(mean)))
    scatter[upper] = arrays["scatters"][0]
    scatter.T[upper] = arrays["scatters"][0]
    return Moments(int(arrays["latent_counts"][0]), mean, scatter)


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
            raise InputError(f"{name} has shape {arrays[name].shape}; expected {shape}")
        values = arrays[name]
        if values.dtype.kind not in "fiu" or not (np.abs(values.astype(np.float64)) <= LARGEST).all():
            raise InputError(f"{name} holds values that are not finite, or too large")
        if name in _COUNTS and (values < 0).any():
            raise InputError(f"{name} holds negative counts")
