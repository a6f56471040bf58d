"""The worst rows of a run, done again to be heard and seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import AudioCodecError
from audiocodec.evaluation.report import text

if TYPE_CHECKING:
    import pandas as pd

    from audiocodec.evaluation.tasks import Setup, Unit

Wav = NDArray[np.float32]
COUNT = 6
JUDGES = ("pesq_wb_input", "pesq_nb_input", "stoi_input", "estoi_input", "si_sdr")
"""Scores by which the worst are found: the first that a table has."""


@dataclass(frozen=True)
class WorstRow:
    """A row that scores far below the mean of its codec, bitrate and condition.

    Attributes:
        bitrate: bit/s measured; `nominal_bitrate` is what was asked for.
        score: column it is judged by.
        value: of the score.
        mean: of the score over all files.
        against: each other codec on the same at the nearest bitrate: name, nominal, measured bitrate, score.
    """

    file: str
    condition: str
    codec: str
    nominal_bitrate: float
    bitrate: float
    score: str
    value: float
    mean: float
    against: tuple[tuple[str, float, float, float], ...] = ()


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Sound:
    """Something to be heard: wav [L]; `note` is its score."""

    title: str
    wav: Wav
    note: str = ""


@dataclass(frozen=True, eq=False)
class Example:
    """A row with its sounds: the clean original, what went in, and what came out of the codecs.

    Attributes:
        row: which one.
        sample_rate: Hz.
        sounds: all aligned and of one length.
    """

    row: WorstRow
    sample_rate: int
    sounds: tuple[Sound, ...]


def find_worst(rows: pd.DataFrame, count: int = COUNT) -> list[WorstRow]:
    """Rows of models (of peers without any) furthest below the mean of their codec, bitrate and condition.

    An absolute order would name the noisiest condition at the lowest bitrate again and again. Each condition
    is named once, and each file, as long as there are others.
    """
    score = next((name for name in JUDGES if name in rows.columns and bool(rows[name].count())), None)
    if score is None:
        return []
    scored: Any = rows[rows[score].notna()]
    own: Any = scored[~scored["peer"].astype(bool)]
    own = own if len(own) else scored
    means = own.groupby(["codec", "nominal_bitrate", "condition"])[score].transform("mean")
    order = (own[score] - means).sort_values(kind="stable").index
    order = order[own.loc[order, score] < means[order]]
    chosen: list[Any] = []
    conditions: set[str] = set()
    for again in (False, True):
        files: set[str] = set()
        for index in order:
            file, condition = own.at[index, "file"], own.at[index, "condition"]
            if condition not in conditions and (again or file not in files):
                chosen.append(index)
                files.add(file)
                conditions.add(condition)
    return [_worst(scored, own.loc[index], score, float(means[index])) for index in chosen[:count]]


def _worst(scored: Any, row: Any, score: str, mean: float) -> WorstRow:
    same = scored[(scored["file"] == row["file"]) & (scored["condition"] == row["condition"])]
    others: dict[str, tuple[str, float, float, float]] = {}
    columns = ["codec", "nominal_bitrate", "payload_bitrate", score]
    distance: Any = np.log(same["payload_bitrate"] / row["payload_bitrate"])
    near = distance.abs().sort_values(kind="stable").index
    for codec, nominal, bitrate, value in same.loc[near, columns].itertuples(index=False):
        if codec != row["codec"]:
            others.setdefault(codec, (codec, float(nominal), float(bitrate), float(value)))
    return WorstRow(
        row["file"],
        row["condition"],
        row["codec"],
        float(row["nominal_bitrate"]),
        float(row["payload_bitrate"]),
        score,
        float(row[score]),
        mean,
        tuple(others.values()),
    )


Recode = Callable[[WorstRow], "Example | None"]


def recoder(setup: Setup, units: Sequence[Unit]) -> Recode:
    """What does a row of a run again; it gives None where the files or a codec have gone since."""
    known = {(unit.recording.name, unit.condition.name): unit for unit in units}
    coders = {coder.name: coder for coder in setup.coders}

    def recode(row: WorstRow) -> Example | None:
        from audiocodec.evaluation.tasks import make_input

        try:
            source = make_input(setup, known[row.file, row.condition])
            sounds = [Sound("What went in", source.wav)]
            if source.degraded and source.clean is not None:
                sounds.insert(0, Sound("Clean original", source.clean))
            own = (row.codec, row.nominal_bitrate, row.bitrate, row.value)
            for name, nominal, bitrate, value in (own, *row.against):
                decoded = coders[name].code(source.wav, source.sample_rate, nominal)
                note = (
                    ""
                    if math.isnan(value)
                    else f"{text.title(row.score)} {text.number(value, text.digits(row.score))}"
                )
                sounds.append(Sound(f"{name}, {text.kilobits(bitrate)} kbit/s", decoded.wav, note))
        except (AudioCodecError, OSError, KeyError):
            return None
        return Example(row, source.sample_rate, tuple(sounds))

    return recode


def examples(rows: pd.DataFrame, recode: Recode, count: int = COUNT) -> Iterator[Example]:
    """The worst rows of a run with their sounds, one at a time."""
    for row in find_worst(rows, count):
        example = recode(row)
        if example is not None:
            yield example
