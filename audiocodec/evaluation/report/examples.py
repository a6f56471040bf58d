"""The worst rows of a run, computed again to listen to and look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import AudioCodecError
from audiocodec.evaluation.report import text
from audiocodec.evaluation.tasks import make_input

if TYPE_CHECKING:
    import pandas as pd

    from audiocodec.evaluation.tasks import Setup, Unit

COUNT = 6
JUDGES = ("pesq_wb_input", "pesq_nb_input", "stoi_input", "estoi_input", "si_sdr")
"""Scores by which the worst rows are chosen: the first that a table has."""


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Sound:
    """A sound of an example: wav [L]; `note` is its score."""

    title: str
    wav: NDArray[np.float32]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Example:
    """A row with its sounds, aligned and of one length: clean original, codec input, output of each codec."""

    title: str
    lead: str
    sample_rate: int
    sounds: Sequence[Sound]


def examples(
    rows: pd.DataFrame, setup: Setup, units: Sequence[Unit], count: int = COUNT
) -> Iterator[Example]:
    """The worst rows, computed again one at a time; a row whose file or codec is gone is left out."""
    score = next((name for name in JUDGES if name in rows.columns and bool(rows[name].count())), None)
    if score is None:
        return
    unit_of = {(unit.recording.name, unit.condition.name): unit for unit in units}
    coders = {coder.name: coder for coder in setup.coders}
    name, digits = text.title(score), text.digits(score)
    for row in find_worst(rows, score, count).itertuples():
        try:
            source = make_input(setup, unit_of[row.file, row.condition])
            sounds = [Sound("What went in", source.wav)]
            if source.degraded and source.clean is not None:
                sounds.insert(0, Sound("Clean original", source.clean))
            for one in (row, *nearest_rows(rows, score, row).itertuples()):
                decoded = coders[one.codec].code(source.wav, source.sample_rate, one.nominal_bitrate)
                title = f"{one.codec}, {text.kilobits(one.payload_bitrate)} kbit/s"
                sounds.append(Sound(title, decoded.wav, f"{name} {text.number(getattr(one, score), digits)}"))
        except (AudioCodecError, OSError, KeyError):
            continue
        condition = text.sentence(text.condition_title(row.condition))
        title = f"{condition}: {row.codec} at {text.kilobits(row.payload_bitrate)} kbit/s"
        value, mean = text.number(getattr(row, score), digits), text.number(row.mean, digits)
        lead = f"{row.file} · {name} {value}, where the mean of all files is {mean}"
        yield Example(title, lead, source.sample_rate, sounds)


def find_worst(rows: pd.DataFrame, score: str, count: int = COUNT) -> Any:
    """Rows of models (of peers without any) furthest below the `mean` of their codec, bitrate and condition.

    An absolute order would name the noisiest condition at the lowest bitrate again and again. Each condition
    is named once, and each file, as long as there are others.
    """
    scored: Any = rows[rows[score].notna()]
    models: Any = scored[~scored["peer"].astype(bool)]
    scored = models if len(models) else scored
    scored = scored.assign(
        mean=scored.groupby(["codec", "nominal_bitrate", "condition"])[score].transform("mean")
    )
    below = scored[score] - scored["mean"]
    order = below[below < 0].sort_values(kind="stable").index
    chosen: list[Any] = []
    conditions: set[str] = set()
    for file_again in (False, True):
        files: set[str] = set()
        for index in order:
            file, condition = scored.at[index, "file"], scored.at[index, "condition"]
            if condition not in conditions and (file_again or file not in files):
                chosen.append(index)
                files.add(file)
                conditions.add(condition)
    return scored.loc[chosen[:count]]


def nearest_rows(rows: pd.DataFrame, score: str, row: Any) -> Any:
    """For each other codec its row of the same file and condition at the bitrate nearest by ratio."""
    same: Any = rows[(rows["file"] == row.file) & (rows["condition"] == row.condition) & rows[score].notna()]
    distance = np.log(same["payload_bitrate"] / row.payload_bitrate).abs()
    by_distance = same.loc[distance.sort_values(kind="stable").index]
    return by_distance[by_distance["codec"] != row.codec].drop_duplicates("codec")
