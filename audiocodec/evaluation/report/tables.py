"""The tables of a report, made once for the page and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

from audiocodec.evaluation.report import text
from audiocodec.evaluation.report.facts import Entry, Facts, Point
from audiocodec.evaluation.score_table import CLEAN, noises_at

SCORES = ("pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr", "mel_distance", "word_error_rate", "distillmos",
          "dnsmos_p808", "dnsmos", "dnsmos_sig", "dnsmos_bak", "visqol_audio", "visqol_speech",
          "speaker_similarity", "frame_lock", "harmonicity_2_4khz", "harmonicity_4_7khz", "level_1_2khz",
          "level_2_4khz", "level_4_7khz")  # fmt: skip
"""Columns of the means."""
COMPARED = ("pesq_wb_input", "pesq_wb_clean", "stoi_input", "mel_distance", "distillmos", "dnsmos_p808",
            "dnsmos", "visqol_audio_input")  # fmt: skip
"""Scores at which bits for the same quality are looked up."""
BY_CONDITION = ("pesq_wb_input", "pesq_wb_clean", "stoi_input", "stoi_clean", "si_sdr", "token_flip_rate")
FALLING = ("pesq_wb_input", "pesq_wb_clean")
MAX_REASONS = 40
"""Rows of a list of failures."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what it says.
        detail: said below it in small letters, in Markdown in parentheses.
        hint: shown on hovering; not in Markdown.
        kind: class of the page: good, bad, words.
        color: number of the color of a codec, shown before the text.
        shade: strength of the background from 0 to 1; None for none.
    """

    text: str
    detail: str = ""
    hint: str = ""
    kind: str = ""
    color: int | None = None
    shade: float | None = None


class Row(NamedTuple):
    """Cells of a row; a line parts it from a row of another `group`."""

    group: str
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """A table with a title of its own; a `folded` one is shown on demand, and left out of Markdown."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Row]
    lead: str = ""
    folded: bool = False
    hints: Mapping[str, str] = field(default_factory=dict[str, str])


NOTHING = Cell(text.DASH)


def _estimate(estimate: Mapping[str, Any] | None, score: str, mark: str = "") -> Cell:
    if estimate is None or not estimate["n"]:
        return NOTHING
    digits = text.digits(score)
    return Cell(
        text.number(estimate["value"], digits) + mark,
        text.interval(estimate["low"], estimate["high"], digits),
        f"{estimate['n']} values of {estimate['speakers']} speakers",
    )


def _point_row(facts: Facts, point: Point, cells: Iterable[Cell]) -> Row:
    name = Cell(f"{facts.label(point)} kbit/s", color=facts.color(point[0]))
    return Row(point[0], [name, *cells])


def means(facts: Facts) -> Iterator[Table]:
    """Every codec and bitrate on clean speech, and over everything else, against what went in."""
    for scope, title in facts.scopes.items():
        scores = _scores_of(facts, scope)
        about = {_head(facts, name): facts.summary["scores"][name]["meaning"] for name in scores}
        heads = ["Codec", "kbit/s", *about, "Encode and decode,\nRTF", "Rows failed"]
        rows = [Row(point[0], _means_row(facts, scope, point, scores)) for point in facts.points]
        yield Table(f"{title}, compared with what went in", heads, rows, hints=about)


def _scores_of(facts: Facts, scope: str) -> list[str]:
    """Scores that have values in a scope, those that flatter a codec last."""
    wanted = facts.having(name for metric in SCORES for name in (metric, f"{metric}_input"))
    there = [name for name in wanted if any(facts.estimate(scope, point, name) for point in facts.points)]
    return sorted(there, key=facts.flatters)


def _head(facts: Facts, score: str) -> str:
    about = facts.summary["scores"][score]
    unit = f", {about['unit']}" if about["unit"] in ("dB", "cents", "LU") else ""
    return f"{text.title(score)}{unit} { {'higher': '↑', 'lower': '↓'}.get(about['better'], '') }".strip()


def _means_row(facts: Facts, scope: str, point: Point, scores: Iterable[str]) -> list[Cell]:
    cells = [
        _estimate(facts.estimate(scope, point, score), score, "*" if facts.flatters(score, point[0]) else "")
        for score in scores
    ]
    speeds = [facts.estimate(scope, point, f"{step}_rtf") for step in ("encode", "decode")]
    speed = " + ".join(f"{one['value']:.2g}" for one in speeds if one) if all(speeds) else text.DASH
    entry = facts.mean(scope, point)
    failed = Cell(f"{entry['failed']} of {entry['rows']}", kind="bad" if entry["failed"] else "")
    return [
        Cell(point[0], color=facts.color(point[0])),
        Cell(facts.kilobits(point)),
        *cells,
        Cell(speed),
        failed,
    ]


def equal_quality(facts: Facts) -> Iterator[Table]:
    """Bits of a model for the quality of each other codec; under single conditions on demand."""
    single = {name: text.condition_title(name) for name in facts.conditions if name != CLEAN}
    scores, title = facts.having(COMPARED), "Bits for the same quality"
    heads = ["", "", *map(text.full_title, scores)]
    if scores and (rows := list(_change_rows(facts, scores, facts.scopes))):
        yield Table(title, heads, rows)
        if len(facts.conditions) > 1:
            yield Table(
                f"{title}, by condition", heads, list(_change_rows(facts, scores, single)), folded=True
            )


def _change_rows(facts: Facts, scores: Sequence[str], scopes: Mapping[str, str]) -> Iterator[Row]:
    for codec, other in product(facts.models or facts.codecs[:1], facts.codecs):
        pair = f"{codec} against {other}"
        for scope, title in scopes.items():
            entries = facts.find("bitrate_changes", scope=scope, codec=codec, against=other)
            changes = {entry["score"]: entry for entry in entries}
            if changes:
                cells = [_change(changes.get(score)) for score in scores]
                yield Row(pair, [Cell(pair), Cell(title, kind="words"), *cells])


def _change(entry: Entry | None) -> Cell:
    if entry is None:
        return NOTHING
    if entry["reason"]:
        bound = text.bound(entry)
        short = "not rising" if "rise" in entry["reason"] else "not measured"
        return Cell(bound or text.DASH, "no quality in common" if bound else short, entry["reason"])
    limits = text.interval(entry["low"], entry["high"], 0, sign=True)
    kind = (
        ("bad" if entry["percent"] > 0 else "good") if text.excludes_zero(entry["low"], entry["high"]) else ""
    )
    shared = text.percent(entry["overlap"])
    return Cell(
        f"{text.number(entry['percent'], 0, sign=True)}{text.THIN}%",
        "; ".join(part for part in (limits, f"{shared} shared") if part),
        f"{shared} of the range of quality is shared",
        kind,
    )


def differences(facts: Facts) -> Iterator[Table]:
    """Models minus others on the same files and conditions, at every pair of bitrates."""
    score = facts.judge
    entries = facts.find("differences", score=score)
    others = [point for point in facts.points if any(_against(entry) == point for entry in entries)]
    codecs = facts.models or facts.codecs[:1]
    if score is None or not others:
        return
    for number, (scope, title) in enumerate(facts.scopes.items()):
        known = {
            (entry["codec"], entry["nominal_bitrate"], _against(entry)): entry
            for entry in entries
            if entry["scope"] == scope
        }
        rows = [
            _point_row(facts, point, (_difference(known.get((*point, other)), score) for other in others))
            for point in facts.points
            if point[0] in codecs
        ]
        heads = ["", *(f"minus {facts.label(point)} kbit/s" for point in others)]
        name = f"Difference of {text.title(score)} on the same files: {title}"
        yield Table(name, heads, rows, folded=number > 0)


def _against(entry: Entry) -> Point:
    return entry["against"], entry["against_bitrate"]


def _difference(entry: Entry | None, score: str) -> Cell:
    if entry is None or not entry["n"]:
        return NOTHING
    digits = text.digits(score)
    sure = text.excludes_zero(entry["low"], entry["high"])
    return Cell(
        text.number(entry["value"], digits, sign=True),
        text.interval(entry["low"], entry["high"], digits, sign=True),
        f"{entry['n']} pairs of {entry['speakers']} speakers",
        ("good" if entry["value"] > 0 else "bad") if sure else "",
    )


def all_noises(facts: Facts) -> Iterator[Table]:
    """The mean over all noises at each SNR."""
    score = facts.judge
    snrs = sorted({one["snr_db"] for one in facts.conditions.values()} - {None}, reverse=True)
    scopes = {noises_at(snr): f"{text.number(snr, 0)} dB" for snr in snrs if facts.has_scope(noises_at(snr))}
    if score is None or not scopes:
        return
    scopes = {CLEAN: "clean", **scopes} if CLEAN in facts.conditions else scopes
    rows = [
        _point_row(facts, point, (_estimate(facts.estimate(name, point, score), score) for name in scopes))
        for point in facts.points
    ]
    yield Table(f"All noises together, {text.full_title(score)}", ["", *scopes.values()], rows)


def falls(facts: Facts) -> Iterator[Table]:
    """The SNR where PESQ falls below a threshold, and below what a codec reaches without noise."""
    score = next(iter(facts.having(FALLING)), None)
    groups, about = facts.noises(score), facts.summary["about"]
    if score is None or not groups:
        return
    name = text.full_title(score)
    for kind, title in (
        ("below_threshold", f"is under {text.number(about['pesq_threshold'], 1)}"),
        ("below_clean", f"is {text.number(about['pesq_drop'], 1)} lower than on clean speech"),
    ):
        known = {
            (entry["group"], entry["codec"], entry["nominal_bitrate"]): entry
            for entries in groups.values()
            for entry in entries
            if kind in entry
        }
        if known:
            rows = [
                _point_row(facts, point, (_fall(known.get((group, *point)), kind) for group in groups))
                for point in facts.points
            ]
            heads = ["", *(group.replace("_", " ") for group in groups)]
            lead = "Lower is better: the codec stands more noise."
            yield Table(f"SNR in dB below which {name} {title}", heads, rows, lead, kind == "below_clean")


def _fall(entry: Entry | None, kind: str) -> Cell:
    if entry is None:
        return NOTHING
    value, low, high = (text.snr(entry, kind, name) for name in ("snr_db", "low", "high"))
    return Cell(value, "" if text.DASH in (low, high) or low == high else f"{low} to {high}")


def conditions(facts: Facts) -> Iterator[Table]:
    """A row for each condition, a table for each score, the one that speaks for all first."""
    if len(facts.conditions) < 2:
        return
    scores = dict.fromkeys(([facts.judge] if facts.judge else []) + facts.having(BY_CONDITION))
    for number, score in enumerate(scores):
        rows = [[facts.estimate(name, point, score) for point in facts.points] for name in facts.conditions]
        values = [one["value"] for row in rows for one in row if one]
        if values:
            shaded = [
                Row(
                    about["kind"],
                    [Cell(text.condition_title(name)), *(_shaded(one, score, values) for one in row)],
                )
                for (name, about), row in zip(facts.conditions.items(), rows, strict=True)
            ]
            heads = ["", *map(facts.label, facts.points)]
            yield Table(f"Conditions, {text.full_title(score)}", heads, shaded, folded=number > 0)


def _shaded(estimate: Entry | None, score: str, values: Sequence[float]) -> Cell:
    if estimate is None:
        return NOTHING
    cell, low, high = _estimate(estimate, score), min(values), max(values)
    share = (estimate["value"] - low) / (high - low) if high > low else 0.0
    hint = f"{cell.detail}, {cell.hint}" if cell.detail else cell.hint
    return Cell(cell.text, hint=hint, shade=0.04 + 0.5 * share)


def languages(facts: Facts) -> Iterator[Table]:
    """Means of each language over all conditions."""
    names = list(dict.fromkeys(entry["language"] for entry in facts.summary["languages"]))
    score = facts.judge
    if not names or score is None:
        return
    estimates = {
        (entry["language"], entry["codec"], entry["nominal_bitrate"]): entry["scores"].get(score)
        for entry in facts.summary["languages"]
    }
    rows = [
        _point_row(facts, point, (_estimate(estimates.get((name, *point)), score) for name in names))
        for point in facts.points
    ]
    yield Table(f"Languages, {text.full_title(score)}, mean over all conditions", ["", *names], rows)


def failures(facts: Facts, skipped: Mapping[str, str]) -> Iterator[Table]:
    """What has no scores, and why; `skipped` codecs or metrics with the reason."""
    for title, heads, lines in (
        (
            "Rows without scores",
            ("Codec", "Condition", "Reason", "Rows"),
            [(one["codec"], text.condition_title(one["condition"]), one["reason"], one["rows"])
             for one in facts.summary["failures"]],
        ),
        (
            "Scores that could not be computed",
            ("Codec", "Score", "Reason", "Rows"),
            [(one["codec"], one["column"], one["reason"], one["rows"]) for one in facts.summary["missing"]],
        ),
        ("Asked for, but not run", ("Name", "Reason"), list(skipped.items())),
    ):  # fmt: skip
        left = len(lines) - MAX_REASONS
        rows = [
            Row("", [Cell(str(value), kind="" if isinstance(value, int) else "words") for value in line])
            for line in lines[:MAX_REASONS]
        ]
        if rows:
            yield Table(
                title,
                heads,
                rows,
                f"The first {MAX_REASONS}; summary.json has {left} more." if left > 0 else "",
            )
