"""`report.md`: the table of means for a README, and how to make it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from audiocodec.evaluation.report import text
from audiocodec.evaluation.report.facts import Entry, Facts, Point
from audiocodec.evaluation.report.headline import scores_of


def write_markdown(summary: Entry, meta: Entry, path: Path) -> None:
    """Write the table, complete or not at all; `summary` and `meta` as for `write_report`."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(render(summary, meta), encoding="utf-8")
    part.replace(path)


def render(summary: Entry, meta: Entry) -> str:
    """A table for each wide scope, and below what it was measured on and by which command."""
    facts = Facts(summary)
    about = summary["about"]
    tables = [
        f"{title}, against what went in:\n\n{_table(facts, scope)}" for scope, title in facts.scopes.items()
    ]
    notes = (
        f"Means with {about['level']:.0%} intervals (bootstrap over {about['speakers']} speakers);"
        f" {about['files']} files, {len(summary['conditions'])} conditions, {about['rows']} rows,"
        f" {about['failed_rows']} failed. Bitrates are measured."
    )
    source = [
        f"Data: {meta['data']}, {str(meta.get('created', ''))[:10]}." if meta.get("data") else "",
        f"```\n{shlex.join(meta['command'])}\n```" if meta.get("command") else "",
    ]
    return "\n\n".join(part for part in (*tables, notes, *source) if part) + "\n"


def _table(facts: Facts, scope: str) -> str:
    scores = scores_of(facts, scope)
    units = {name: facts.summary["scores"][name]["unit"] for name in scores}
    heads = [
        "codec",
        "kbit/s",
        *(f"{text.title(name)}{', dB' if units[name] == 'dB' else ''}" for name in scores),
        "failed",
    ]
    lines = [_line(facts, scope, point, scores) for point in facts.points]
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join(_row(cells) for cells in (heads, rule, *lines))


def _line(facts: Facts, scope: str, point: Point, scores: Sequence[str]) -> list[str]:
    cells: list[str] = []
    for score in scores:
        found, digits = facts.estimate(scope, point, score), text.digits(score)
        limits = text.interval(found["low"], found["high"], digits) if found else ""
        cells.append(
            f"{text.number(found['value'] if found else None, digits)}{f' ({limits})' if limits else ''}"
        )
    entry = facts.mean(scope, point)
    return [
        point[0].replace("|", "\\|"),
        text.kilobits(facts.bitrate(point)),
        *cells,
        f"{entry['failed']} of {entry['rows']}",
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
