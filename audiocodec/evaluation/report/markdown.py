"""`report.md`: the tables of a run for a README or a page of documentation, and how to make them again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from audiocodec.evaluation.report import text
from audiocodec.evaluation.report.facts import Entry, Facts
from audiocodec.evaluation.report.headline import flattery, judge, scores_of
from audiocodec.evaluation.report.noise import SCORES as FALLING
from audiocodec.evaluation.report.rates import COMPARED, NOTHING_SHARED
from audiocodec.evaluation.score_table import CLEAN, noises_at
from audiocodec.storage import replacing


def write_markdown(summary: Entry, meta: Entry, path: Path) -> None:
    """Write the tables, complete or not at all; `summary` and `meta` as for `write_report`."""
    with replacing(path) as part:
        part.write_text(render(summary, meta), encoding="utf-8")


def render(summary: Entry, meta: Entry) -> str:
    """What was measured on which data by which command, and a section for each table there is."""
    facts = Facts(summary, meta)
    sections = [*_means(facts), *_conditions(facts), *_snrs(facts), *_falls(facts), *_equal_quality(facts)]
    about = summary["about"]
    source = [
        f"Data: {meta['data']}, {str(meta.get('created', ''))[:10]}." if meta.get("data") else "",
        f"```sh\n{shlex.join(meta['command'])}\n```" if meta.get("command") else "",
        f"Means with {about['level']:.0%} intervals (bootstrap over {about['speakers']} speakers);"
        f" {about['files']} files, {len(summary['conditions'])} conditions, {about['rows']} rows,"
        f" {about['failed_rows']} failed. Bitrates are measured, in kbit/s"
        f"{', except those marked ≈' if facts.uncounted else ''}.",
        "\n".join(flattery(facts)).replace("*", "\\*"),
    ]
    return "\n\n".join(part for part in (*source, *sections) if part) + "\n"


def _means(facts: Facts) -> Iterator[str]:
    for scope, title in facts.scopes.items():
        scores = scores_of(facts, scope)
        units = {name: facts.summary["scores"][name]["unit"] for name in scores}
        titles = [f"{text.title(name)}{', dB' if units[name] == 'dB' else ''}" for name in scores]
        lines: list[list[str]] = []
        for point in facts.points:
            entry = facts.mean(scope, point)
            cells = [
                _estimate(
                    facts.estimate(scope, point, score), text.digits(score), facts.star(score, point[0])
                )
                for score in scores
            ]
            lines.append([point[0], facts.kilobits(point), *cells, f"{entry['failed']} of {entry['rows']}"])
        yield _section(f"{title}, against what went in", ["codec", "kbit/s", *titles, "failed"], lines)


def _conditions(facts: Facts) -> Iterator[str]:
    """Means of each condition, of a noise over its SNRs; they have intervals in summary.json."""
    score, conditions = judge(facts), facts.summary["conditions"]
    if score is None or len(conditions) < 2:
        return
    groups: dict[str, list[Entry]] = {}
    for condition in conditions:
        groups.setdefault(condition["group"], []).append(condition)
    lines: list[list[str]] = []
    for group, several in groups.items():
        cells: list[str] = []
        for point in facts.points:
            found = [facts.estimate(one["name"], point, score) for one in several]
            values = [one["value"] for one in found if one]
            mean = sum(values) / len(values) if len(values) == len(several) else None
            cells.append(text.number(mean, text.digits(score)))
        lines.append([_group_title(group, several), *cells])
    yield _section(f"Conditions, {_said(score)}", ["", *map(facts.label, facts.points)], lines)


def _group_title(group: str, conditions: Sequence[Entry]) -> str:
    if len(conditions) == 1:
        return text.condition_title(conditions[0]["name"])
    snrs = sorted(one["snr_db"] for one in conditions)
    return f"{group.replace('_', ' ')}, {text.number(snrs[-1], 0)} to {text.number(snrs[0], 0)} dB"


def _snrs(facts: Facts) -> Iterator[str]:
    score = judge(facts)
    snrs = sorted({one["snr_db"] for one in facts.summary["conditions"]} - {None}, reverse=True)
    scopes = {noises_at(snr): f"{text.number(snr, 0)} dB" for snr in snrs if noises_at(snr) in facts.known}
    if score is None or not scopes:
        return
    if facts.find("conditions", name=CLEAN):
        scopes = {CLEAN: "clean", **scopes}
    lines = [
        [
            facts.label(point),
            *(_estimate(facts.estimate(scope, point, score), text.digits(score)) for scope in scopes),
        ]
        for point in facts.points
    ]
    yield _section(f"All noises together, {_said(score)}", ["codec", *scopes.values()], lines)


def _falls(facts: Facts) -> Iterator[str]:
    """Where PESQ falls below the threshold."""
    score = next(iter(facts.having(FALLING)), None)
    entries = [one for one in facts.find("degradation", score=score) if len(one["points"]) > 1]
    groups = list(dict.fromkeys(entry["group"] for entry in entries))
    if score is None or not groups:
        return
    found = {(one["group"], one["codec"], one["nominal_bitrate"]): one for one in entries}
    lines = [
        [facts.label(point), *(_fall(found.get((group, *point))) for group in groups)]
        for point in facts.points
    ]
    threshold = text.number(facts.summary["about"]["pesq_threshold"], 1)
    heads = ["codec", *(group.replace("_", " ") for group in groups)]
    yield _section(f"SNR in dB below which {_said(score)} is under {threshold}", heads, lines)


def _fall(entry: Entry | None) -> str:
    if entry is None:
        return text.DASH
    value, low, high = (text.snr(entry, "below_threshold", name) for name in ("snr_db", "low", "high"))
    return value if text.DASH in (low, high) or low == high else f"{value} ({low} to {high})"


def _equal_quality(facts: Facts) -> Iterator[str]:
    """Bits of each model for the quality of another, by score."""
    scores = facts.having(COMPARED)
    lines: list[list[str]] = []
    for scope, title in facts.scopes.items():
        entries = [one for one in facts.find("bitrate_changes", scope=scope) if one["codec"] in facts.models]
        for codec, other in dict.fromkeys((one["codec"], one["against"]) for one in entries):
            found = {one["score"]: one for one in entries if (one["codec"], one["against"]) == (codec, other)}
            lines.append([f"{codec} against {other}", title, *(_change(found.get(name)) for name in scores)])
    if lines:
        titles = [f"{text.title(name)} {text.against(name)}" for name in scores]
        yield _section("Bits for the same quality", ["", "", *titles], lines)


def _change(entry: Entry | None) -> str:
    if entry is None:
        return text.DASH
    if entry["reason"]:
        bound = text.bound(entry)
        return f"{bound} ({NOTHING_SHARED})" if bound else f"{text.DASH} ({text.why_no_change(entry)})"
    limits = text.interval(entry["low"], entry["high"], 0, sign=True)
    value = f"{text.number(entry['percent'], 0, sign=True)} %"
    shared = f"{100 * entry['overlap']:.0f} % shared"
    return f"{value} ({limits}; {shared})" if limits else f"{value} ({shared})"


def _said(score: str) -> str:
    return f"{text.title(score)} {text.against(score)}"


def _estimate(estimate: dict[str, Any] | None, decimals: int, mark: str = "") -> str:
    if estimate is None:
        return text.DASH
    limits = text.interval(estimate["low"], estimate["high"], decimals)
    mark = mark.replace("*", "\\*")
    return f"{text.number(estimate['value'], decimals)}{mark}{f' ({limits})' if limits else ''}"


def _section(title: str, heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---", *["--:"] * (len(heads) - 1)]
    rows = (heads, rule, *lines)
    written = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows)
    return "\n".join([f"## {title}", "", *(f"| {row} |" for row in written)])
