"""`report.md`: the tables of a run for a README or a page of documentation, and how to make them again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from audiocodec.evaluation.report import tables
from audiocodec.evaluation.report.facts import Entry, Facts
from audiocodec.evaluation.report.findings import flattery
from audiocodec.evaluation.report.tables import Cell, Table


def render(summary: Entry, meta: Entry) -> str:
    """What was measured on which data by which command, and a section for each table there is."""
    facts, about = Facts(summary, meta), summary["about"]
    source = [
        f"Data: {_escaped(meta['data'])}, {str(meta.get('created', ''))[:10]}." if meta.get("data") else "",
        f"```sh\n{shlex.join(meta['command'])}\n```" if meta.get("command") else "",
        f"Means with {about['level']:.0%} intervals (bootstrap over {about['speakers']} speakers);"
        f" {about['files']} files, {len(summary['conditions'])} conditions, {about['rows']} rows,"
        f" {about['failed_rows']} failed. Bitrates are measured, in kbit/s"
        f"{', except those marked ≈' if facts.uncounted else ''}.",
        *(_escaped(sentence) for sentence in flattery(facts)),
    ]
    makers = (tables.means, tables.conditions, tables.all_noises, tables.falls, tables.equal_quality)
    sections = [
        *(table for make in makers for table in make(facts) if not table.folded),
        *tables.failures(facts, meta.get("skipped", {})),
    ]
    return "\n\n".join([*filter(None, source), *map(_section, sections)]) + "\n"


def _section(table: Table) -> str:
    left = 1 + max(
        (at for row in table.rows for at, cell in enumerate(row.cells) if cell.kind == "words"), default=0
    )
    rule = "".join("| --- " if at < left else "| --: " for at in range(len(table.heads))) + "|"
    head, *rows = (
        _line(cells) for cells in ([Cell(head) for head in table.heads], *(row.cells for row in table.rows))
    )
    return "\n".join([f"## {_escaped(table.title)}", "", head, rule, *rows])


def _line(cells: Sequence[Cell]) -> str:
    written = (f"{cell.text} ({cell.detail})" if cell.detail else cell.text for cell in cells)
    return f"| {' | '.join(map(_escaped, written))} |"


def _escaped(words: str) -> str:
    """On one line, without what is a table, emphasis or a tag to Markdown."""
    return re.sub(r"[|*`]|<(?=[A-Za-z/!?])", r"\\\g<0>", " ".join(words.split()))
