"""The rows of a run as matrices, so that codecs are compared on the same files and conditions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.evaluation.rows import Column, columns
from audiocodec.evaluation.statistics import RESAMPLES, Draws, Estimate, Resampling
from audiocodec.metrics import METRICS
from audiocodec.metrics.words import WORD_ERROR_RATE

if TYPE_CHECKING:
    import pandas as pd

Point = tuple[str, float]
"""A codec at a nominal bitrate."""
Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]

ALL, CLEAN, DEGRADED = "all", "clean", "degraded"
_METRICS = (*METRICS.values(), WORD_ERROR_RATE)
_NOT_SCORES = {"seconds", "snr_db", "nominal_bitrate"}


def noises_at(snr_db: float) -> str:
    """Name of the scope of all noises at an SNR."""
    return f"noises at {snr_db:g} dB"


class ScoreTable:
    """Matrices with one row for each unit (a file under a condition) and one column for each point.

    Attributes:
        points: codecs at nominal bitrates.
        peer: codec -> whether it is a peer.
        nominal: points whose codec does not say how many bits it used; theirs are the requested ones.
        columns: columns of numbers that score codecs.
        uncoded: names of the columns that score the input itself.
        conditions: name, kind, group and snr_db (NaN without noise) of each condition.
        scopes: name -> units [units]: `all`, `degraded` (all but clean), noises at an SNR, each condition.
        languages: language of each unit [units].
        failed: [units, points], 1 for a row without scores, NaN where there is no row.
        speakers: speaker of each unit [units], as `resampling` numbers them.
    """

    def __init__(self, rows: pd.DataFrame, resamples: int = RESAMPLES, seed: int = 0) -> None:
        self._rows = rows.assign(speaker=rows["speaker"].fillna(rows["file"]))
        self._matrices: dict[str, Matrix] = {}
        self.columns = [one for one in _columns() if self._has_values(one.name)]
        names = [f"{metric.name}_uncoded" for metric in _METRICS]
        self.uncoded = [name for name in names if self._has_values(name)]
        self._place()
        units = self._rows.drop_duplicates(["file", "condition"])
        self.resampling = Resampling(units["speaker"], resamples, seed)
        self.speakers = self.resampling.numbers(units["speaker"])
        self.languages = units["language"].fillna("").to_numpy(dtype=str)
        listed = units.drop_duplicates("condition")[["condition", "kind", "group", "snr_db"]]
        self.conditions: list[dict[str, Any]] = [
            {"name": name, "kind": kind, "group": group, "snr_db": float(snr_db)}
            for name, kind, group, snr_db in listed.itertuples(index=False)
        ]
        self.scopes = _scopes(units)
        self.failed = self._as_matrix(self._rows["error"].notna().to_numpy(dtype=np.float64))

    def _place(self) -> None:
        rows = self._rows
        by_unit = rows.groupby(["file", "condition"], sort=False, dropna=False)
        by_point = rows.groupby(["codec", "nominal_bitrate"], sort=False, dropna=False)
        points: Any = rows[["codec", "nominal_bitrate"]].drop_duplicates()
        self.points: list[Point] = list(points.itertuples(index=False, name=None))
        self.peer = {name: bool(peer) for name, peer in zip(rows["codec"], rows["peer"], strict=True)}
        assumed: Any = rows.loc[rows["nominal_bits"].fillna(False), ["codec", "nominal_bitrate"]]
        self.nominal: set[Point] = set(assumed.itertuples(index=False, name=None))
        self._where = by_unit.ngroup().to_numpy(), by_point.ngroup().to_numpy()
        self._shape = by_unit.ngroups, by_point.ngroups

    def _has_values(self, name: str) -> bool:
        return name in self._rows.columns and bool(self._rows[name].notna().any())

    def _as_matrix(self, values: Matrix) -> Matrix:
        matrix = np.full(self._shape, np.nan)
        matrix[self._where] = values
        return matrix

    def matrix(self, column: str) -> Matrix:
        """Values [units, points] of a column; NaN where there is none."""
        if column not in self._matrices:
            self._matrices[column] = self._as_matrix(self._rows[column].to_numpy(dtype=np.float64))
        return self._matrices[column]

    def input_scores(self, column: str) -> Matrix:
        """Values [units] of a column of `uncoded`, which does not depend on the point."""
        matrix = self.matrix(column)
        there = ~np.isnan(matrix)
        return np.where(there.any(axis=1), matrix[np.arange(len(matrix)), there.argmax(axis=1)], np.nan)

    def draws(self, column: str, point: int, mask: Mask) -> Draws:
        """Means over the units of a mask: of the data, then of each resample."""
        return self.resampling.means(self.matrix(column)[mask, point], self.speakers[mask])

    def estimate(self, values: Matrix, mask: Mask) -> Estimate:
        """Mean of values [units] over a mask, with its interval."""
        return self.resampling.estimate(values[mask], self.speakers[mask])

    def points_of(self, codec: str) -> list[int]:
        """Numbers of the points of a codec, by bitrate."""
        numbers = [number for number, (name, _) in enumerate(self.points) if name == codec]
        return sorted(numbers, key=lambda number: self.points[number][1])

    def pairs(self) -> list[tuple[str, str]]:
        """Codecs to compare with each other, models before peers."""
        names = dict.fromkeys(name for name, _ in self.points)
        return list(combinations(sorted(names, key=lambda name: self.peer[name]), 2))

    def having(self, wanted: Sequence[str]) -> list[Column]:
        """The wanted columns that have values."""
        return [column for name in wanted for column in self.columns if column.name == name]


def _columns() -> list[Column]:
    numbers = [one for one in columns(_METRICS) if one.dtype == "float64"]
    return [one for one in numbers if one.name not in _NOT_SCORES and not one.name.endswith("_uncoded")]


def _scopes(units: pd.DataFrame) -> dict[str, Mask]:
    names: Any = units["condition"].to_numpy()
    scopes: dict[str, Mask] = {ALL: np.ones(len(units), dtype=bool)}
    degraded: Any = units["kind"].to_numpy() != CLEAN
    if degraded.any() and not degraded.all():
        scopes[DEGRADED] = degraded
    # Of noises that have a curve; a room with noise at one SNR has none.
    curved: Any = units.groupby("group")["snr_db"].transform("nunique").to_numpy() > 1
    snrs: Any = units["snr_db"].where(curved).to_numpy()
    for snr in sorted({float(snr) for snr in snrs[~np.isnan(snrs)]}, reverse=True):
        if len(set(names[snrs == snr])) > 1:
            scopes[noises_at(snr)] = snrs == snr
    return scopes | {str(name): names == name for name in dict.fromkeys(names)}
