"""The summary of the rows of a run as plain values: summary.json, and the source of the reports.

    about         files, speakers, rows, failed rows, how intervals were made
    scores        column -> unit, meaning, better
    codecs        codec -> peer, points: nominal_bitrate, the measured bitrate, nominal_bits where it is not
    conditions    name, kind, group, snr_db
    means         for each scope, codec and bitrate: rows, failed, scores: column -> estimate
    uncoded       scope -> column -> estimate: the input itself against the clean original
    differences   a codec minus another on the same files and conditions, at each pair of bitrates
    degradation   for each noise (group), score, codec and bitrate: a curve over the SNR, and where PESQ falls
    bitrate_changes   bits a codec needs for the quality of another, for each scope and score
    languages     means for each language over all conditions, when there are several
    failures      why rows have no scores: codec, condition, reason, rows
    missing       why single scores are missing: codec, column, reason, rows

An estimate is {value, low, high, n, speakers} with limits at `about.level`. A scope is `all`, `degraded` (all
but clean), all noises at an SNR (`noises at 10 dB`), or the name of a condition. What could not be computed
is null, with a reason where one is known. The place where PESQ falls is an SNR in dB, "never" (not even at
the lowest SNR), or "always" (at the highest SNR already).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.evaluation.score_table import ALL, CLEAN, DEGRADED, Mask, Matrix, ScoreTable
from audiocodec.evaluation.statistics import (
    ALWAYS,
    LEVEL,
    NEVER,
    RESAMPLES,
    BitrateChange,
    Draws,
    bitrate_change,
    crossing,
    limits,
)

if TYPE_CHECKING:
    import pandas as pd

    from audiocodec.evaluation.rows import Column

QUALITY = ("pesq_wb_input", "pesq_wb_clean", "stoi_input", "stoi_clean", "si_sdr", "mel_distance",
           "distillmos", "dnsmos_p808", "dnsmos", "visqol_audio_input")  # fmt: skip
"""Scores by which codecs are compared with each other, as far as a table has them."""
CURVES = ("pesq_wb_input", "pesq_wb_clean", "stoi_clean", "token_flip_rate")
"""Scores that have curves over the SNR."""
PESQ_THRESHOLD = 2.0
PESQ_DROP = 0.3


def summarize(
    rows: pd.DataFrame,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    pesq_threshold: float = PESQ_THRESHOLD,
    pesq_drop: float = PESQ_DROP,
) -> dict[str, Any]:
    """Reduce the table of a run to what the docstring of this module lists; NaN stands for null.

    Args:
        rows: table with the columns of `audiocodec.evaluation.rows`.
        resamples: number of draws of speakers for intervals.
        seed: seed of these draws.
        pesq_threshold: `degradation` says at which SNR the mean PESQ falls below it,
        pesq_drop: and at which SNR it falls so far below the mean PESQ of the codec without noise.
    """
    table = ScoreTable(rows, resamples, seed)
    failures = _failures(rows)
    return {
        "about": {
            "files": len(set(rows["file"])),
            "speakers": len(table.resampling.speakers),
            "rows": len(rows),
            "failed_rows": sum(one["rows"] for one in failures),
            "level": LEVEL,
            "resampled_by": "speaker",
            "resamples": resamples,
            "seed": seed,
            "pesq_threshold": pesq_threshold,
            "pesq_drop": pesq_drop,
        },
        "scores": {
            one.name: {"unit": one.unit, "meaning": one.meaning, "better": one.better}
            for one in table.columns
        },
        "codecs": _codecs(table),
        "conditions": table.conditions,
        "means": [
            {"scope": scope, **entry} for scope, mask in table.scopes.items() for entry in _means(table, mask)
        ],
        "uncoded": {
            scope: {name: vars(table.estimate(table.input_scores(name), mask)) for name in table.uncoded}
            for scope, mask in table.scopes.items()
        },
        "differences": list(_differences(table)),
        "degradation": list(_degradation(table, pesq_threshold, pesq_drop)),
        "bitrate_changes": list(_bitrate_changes(table)),
        "languages": list(_languages(table)),
        "failures": failures,
        "missing": _missing(rows),
    }


def _codecs(table: ScoreTable) -> dict[str, Any]:
    everything = table.scopes[ALL]
    return {
        codec: {
            "peer": peer,
            "points": [
                {
                    "nominal_bitrate": table.points[at][1],
                    "bitrate": float(table.draws("payload_bitrate", at, everything)[0]),
                    "nominal_bits": table.points[at] in table.nominal,
                }
                for at in table.points_of(codec)
            ],
        }
        for codec, peer in table.peer.items()
    }


def _means(table: ScoreTable, mask: Mask, names: Iterable[str] = ()) -> Iterator[dict[str, Any]]:
    chosen = [one.name for one in table.columns if not names or one.name in names]
    for at, (codec, bitrate) in enumerate(table.points):
        failed = table.failed[mask, at]
        yield {
            "codec": codec,
            "nominal_bitrate": bitrate,
            "rows": int((~np.isnan(failed)).sum()),
            "failed": int(np.nansum(failed)),
            "scores": {name: vars(table.estimate(table.matrix(name)[:, at], mask)) for name in chosen},
        }


def _languages(table: ScoreTable) -> Iterator[dict[str, Any]]:
    languages = sorted(set(table.languages.tolist()) - {""})
    for language in languages if len(languages) > 1 else []:
        for entry in _means(table, table.languages == language, QUALITY):
            yield {"language": language, **entry}


def _differences(table: ScoreTable) -> Iterator[dict[str, Any]]:
    """All pairs of bitrates over the wide scopes; in single conditions each with the nearest bitrate."""
    for codec, other in table.pairs():
        for at in table.points_of(codec):
            others = table.points_of(other)
            nearest = min(
                others, key=lambda number: abs(np.log(_measured(table, number) / _measured(table, at)))
            )
            for scope, mask in table.scopes.items():
                for against in others if scope in (ALL, DEGRADED, CLEAN) else [nearest]:
                    for column in table.having(QUALITY):
                        matrix = table.matrix(column.name)
                        difference = table.estimate(matrix[:, at] - matrix[:, against], mask)
                        yield {
                            "scope": scope,
                            "score": column.name,
                            "codec": codec,
                            "nominal_bitrate": table.points[at][1],
                            "against": other,
                            "against_bitrate": table.points[against][1],
                            "nearest": against == nearest,
                            **vars(difference),
                        }


def _measured(table: ScoreTable, point: int) -> float:
    """Payload bitrate; the nominal one where every row failed."""
    measured = float(table.draws("payload_bitrate", point, table.scopes[ALL])[0]) if table.columns else np.nan
    return measured if measured > 0 else table.points[point][1]


def _degradation(table: ScoreTable, threshold: float, drop: float) -> Iterator[dict[str, Any]]:
    noises: dict[str, list[dict[str, Any]]] = {}
    for condition in table.conditions:
        if not np.isnan(condition["snr_db"]):
            noises.setdefault(condition["group"], []).append(condition)
    for group, conditions in noises.items():
        conditions = sorted(conditions, key=lambda one: -one["snr_db"])
        for column in table.having(CURVES):
            for at, (codec, bitrate) in enumerate(table.points):
                entry: dict[str, Any] = {
                    "group": group,
                    "score": column.name,
                    "codec": codec,
                    "nominal_bitrate": bitrate,
                    "points": [
                        {
                            "snr_db": one["snr_db"],
                            **vars(
                                table.estimate(table.matrix(column.name)[:, at], table.scopes[one["name"]])
                            ),
                        }
                        for one in conditions
                    ],
                }
                if column.name.startswith("pesq"):
                    entry |= _falls(table, column.name, at, conditions, threshold, drop)
                yield entry


def _falls(
    table: ScoreTable, score: str, at: int, conditions: list[dict[str, Any]], threshold: float, drop: float
) -> dict[str, Any]:
    """Where a curve falls below the threshold, and by `drop` below what the codec reaches without noise."""
    snrs = [one["snr_db"] for one in conditions]
    values = np.stack([table.draws(score, at, table.scopes[one["name"]]) for one in conditions])
    falls = {"below_threshold": _snr(crossing(snrs, values, threshold))}
    if CLEAN in table.scopes:
        clean = table.draws(score, at, table.scopes[CLEAN])
        falls["below_clean"] = _snr(crossing(snrs, values, clean - drop))
    return falls


def _snr(draws: Draws) -> dict[str, Any]:
    low, high = limits(draws)
    words = {NEVER: "never", ALWAYS: "always"}
    numbers = {"snr_db": float(draws[0]), "low": low, "high": high}
    return {name: words.get(value, value) for name, value in numbers.items()}


def _bitrate_changes(table: ScoreTable) -> Iterator[dict[str, Any]]:
    for codec, other in table.pairs():
        for scope, mask in table.scopes.items():
            for column in table.having(QUALITY):
                change = _change(table, column, codec, other, mask)
                yield {
                    "scope": scope,
                    "score": column.name,
                    "codec": codec,
                    "against": other,
                    **vars(change),
                }


def _change(table: ScoreTable, column: Column, codec: str, other: str, mask: Mask) -> BitrateChange:
    def curves(name: str, score: str) -> Matrix:
        return np.stack([table.draws(score, at, mask) for at in table.points_of(name)])

    sign = -1.0 if column.better == "lower" else 1.0
    return bitrate_change(
        curves(codec, "payload_bitrate"),
        sign * curves(codec, column.name),
        curves(other, "payload_bitrate"),
        sign * curves(other, column.name),
    )


def _failures(rows: pd.DataFrame) -> list[dict[str, Any]]:
    failed: Any = rows[rows["error"].notna()]
    return _counted(("codec", "condition", "reason"), failed[["codec", "condition", "error"]].to_numpy())


def _missing(rows: pd.DataFrame) -> list[dict[str, Any]]:
    cells = (
        (codec, *missing)
        for codec, errors in zip(rows["codec"], rows["errors"], strict=True)
        for missing in json.loads(errors).items()
    )
    return _counted(("codec", "column", "reason"), cells)


def _counted(names: Sequence[str], cells: Iterable[Iterable[str]]) -> list[dict[str, Any]]:
    """How many `rows` have the same cells, the most frequent first."""
    counts = Counter(map(tuple, cells)).most_common()
    return [{**dict(zip(names, same, strict=True)), "rows": count} for same, count in counts]
