"""One HTML page of a timeline that needs nothing else: no network, no scripts, light or dark."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape

from audiocodec.adaptation.dashboard.charts import Line, heat_map, line_chart, state_strip
from audiocodec.adaptation.dashboard.style import STYLE
from audiocodec.adaptation.dashboard.timeline import Timeline, Window
from audiocodec.storage import new_file

CHARTS: tuple[tuple[str, dict[str, str], float | None], ...] = (
    (
        "Quantization error, times the baseline's",
        {"relative to the latents": "relative_error", "absolute": "error"},
        1.0,
    ),
    ("Entries in use, times the baseline's", {"usage": "usage", "perplexity": "perplexity"}, 1.0),
    ("Entropy of codes, change in bits", {"entropy": "entropy"}, 0.0),
    (
        "Use of codes, divergence in bits",
        {"Jensen-Shannon": "js", "Kullback-Leibler": "kl", "pairs": "bigram_js"},
        None,
    ),
    (
        "Latents, distance in standard deviations",
        {"Gaussian W2": "w2", "sliced W2": "sliced_w2", "means": "mean_shift"},
        None,
    ),
)
"""Title, measures by what they are called there, and the value without drift if it is known."""
LATEST_ALERTS = 20
_LABELS = {"ok": "OK", "warning": "Warning", "alert": "Alert"}


def write_page(path: str | os.PathLike[str], timeline: Timeline, *, overwrite: bool = False) -> None:
    """Write the page to a file, whole or not at all.

    Raises:
        InputError: the file is there already, or cannot be written.
    """
    with new_file(path, overwrite) as temporary:
        temporary.write_text(build_page(timeline), encoding="utf-8")


def build_page(timeline: Timeline) -> str:
    """The page as text."""
    windows, marks = timeline.windows, timeline.marks
    parts = [
        _head(timeline),
        _tiles(timeline),
        '<div class="card">',
        state_strip(windows, marks),
        _score_chart(timeline),
        *(_chart(title, names, guide, timeline) for title, names, guide in CHARTS),
        heat_map("Jensen-Shannon divergence by stage", "js", windows, marks),
        heat_map("Relative error by stage, times the baseline's", "relative_error", windows, marks),
        "</div>",
        _alert_table(windows),
        _mark_table(timeline),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Codebook drift</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _head(timeline: Timeline) -> str:
    first, last = timeline.windows[0].time, timeline.windows[-1].time
    grouped = -(-timeline.total // len(timeline.windows))
    note = f"; {grouped} windows a column" if grouped > 1 else ""
    return (
        f'<h1>Codebook drift</h1><p class="soft">{_time(first)} to {_time(last)} UTC,'
        f" {timeline.total} windows{note}</p>"
    )


def _tiles(timeline: Timeline) -> str:
    last = timeline.windows[-1]
    judged = next((window for window in reversed(timeline.windows) if window.score is not None), last)
    score = "-" if judged.score is None else f"{judged.score:.1f}"
    share = timeline.alerts / timeline.total
    tiles = [
        (f'<b class="{last.state}-text">{_LABELS[last.state]}</b>', "state now"),
        (f"<b>{score}</b>", f"score, alert above {_show(judged.alert)}"),
        (f"<b>{timeline.alerts}</b>", f"windows in alert, {100 * share:.0f} %"),
        (f"<b>{_duration(timeline.seconds)}</b>", "of audio watched"),
        (f"<b>{escape(judged.environment or '-')}</b>", "environment now"),
        (f"<b>{escape(last.codebook_id[:8])}</b>", f"codebooks, against {escape(last.baseline)}"),
    ]
    cells = "".join(f'<div class="card tile">{value}<span>{label}</span></div>' for value, label in tiles)
    return f'<div class="tiles">{cells}</div>'


def _score_chart(timeline: Timeline) -> str:
    judged = [window for window in timeline.windows if window.alert is not None]
    guides = (
        [
            (name, value, name)
            for name, value in (("alert", judged[-1].alert), ("warning", judged[-1].warning))
            if value is not None
        ]
        if judged
        else []
    )
    line: Line = ("score", [window.score for window in timeline.windows])
    title = "Drift score, in spreads of what chance gives"
    return line_chart(title, [line], timeline.windows, timeline.marks, guides, height=190)


def _chart(title: str, names: Mapping[str, str], guide: float | None, timeline: Timeline) -> str:
    lines: list[Line] = [
        (label, [window.measures.get(name) for window in timeline.windows]) for label, name in names.items()
    ]
    lines = [line for line in lines if any(value is not None for value in line[1])]
    guides = [] if guide is None else [("baseline", guide, "level")]
    return line_chart(title, lines, timeline.windows, timeline.marks, guides) if lines else ""


def _alert_table(windows: Sequence[Window]) -> str:
    found = [window for window in windows if window.state == "alert" and not window.silent]
    rows = [
        (
            _time(window.time),
            _show(window.score),
            escape(window.decisive),
            _show(window.measures.get("relative_error")),
            escape(window.environment or "-"),
            escape(", ".join(source.rsplit("/", 1)[-1] for source in window.sources[:4])),
        )
        for window in reversed(found[-LATEST_ALERTS:])
    ]
    return _table("Latest alerts", ("time", "score", "by", "error", "environment", "sources"), rows)


def _mark_table(timeline: Timeline) -> str:
    rows = [
        (
            _time(mark.time),
            escape(mark.kind),
            f"<code>{escape(mark.codebook_id[:12])}</code>",
            escape(mark.text),
        )
        for mark in reversed(timeline.marks)
    ]
    return _table("Codebook revisions", ("time", "event", "codebooks", "reason"), rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<h2>{title}</h2><div class="card wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _time(time: str) -> str:
    return escape(time[:19].replace("T", " "))


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
