"""Pictures of a timeline as SVG: lines over windows, a strip of states, heat maps of stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from audiocodec.adaptation.dashboard.timeline import Mark, Window

WIDTH, LEFT, RIGHT = 1100, 54, 96
PLOT = WIDTH - LEFT - RIGHT
LEAST_SPAN = 1e-8
"""Of an axis to its largest number: what is closer together is one to the eye, and nearly to a float."""
Line = tuple[str, Sequence[float | None]]
"""Name and one value a window."""


def place(number: float, count: int) -> float:
    """Horizontal position of the left edge of a window."""
    return LEFT + PLOT * number / max(count, 1)


def line_chart(
    title: str,
    lines: Sequence[Line],
    windows: Sequence[Window],
    marks: Sequence[Mark],
    guides: Sequence[tuple[str, float, str]] = (),
    height: int = 150,
) -> str:
    """Lines over the windows; `guides` are (name, value, class) of level lines."""
    values = [value for _, line in lines for value in line if value is not None]
    values += [value for _, value, _ in guides]
    if not values:
        return ""
    low, high, ticks = _scale(min(values), max(values))

    def y(value: float) -> float:
        return 8 + (height - 26) * (high - value) / (high - low)

    count = len(windows)
    parts = [_alerts(windows, 8, height - 26)]
    parts += [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text class="tick end" x="{LEFT - 6}" y="{y(t) + 3:.1f}">{t:g}</text>'
        for t in ticks
    ]
    label_y = -1e9
    for name, value, kind in guides:  # highest first, so that labels of near ones can give way downwards
        label_y = max(y(value) + 3, label_y + 12)
        parts.append(
            f'<line class="guide {kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}"'
            f' y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text class="tick" x="{WIDTH - RIGHT + 6}" y="{label_y:.1f}">{escape(name)}</text>'
        )
    for number, (_, line) in enumerate(lines):
        parts += [f'<path class="line line{number}" d="{d}"/>' for d in _paths(line, count, y)]
    parts.append(_rules(marks, count, 8, height - 26))
    hovers = [_hover(windows[i], lines, i, count, height - 26) for i in range(count)]
    legend = "".join(
        f'<span><i class="key{i}"></i>{escape(name)}</span>' for i, (name, _) in enumerate(lines)
    )
    keys = f'<p class="legend">{legend}</p>' if len(lines) > 1 else ""
    body = "".join(parts + hovers)
    return (
        f'<section><h2>{escape(title)}</h2>{keys}<svg viewBox="0 0 {WIDTH} {height - 12}" role="img"'
        f' aria-label="{escape(title)}">{body}</svg></section>'
    )


def state_strip(windows: Sequence[Window], marks: Sequence[Mark]) -> str:
    """States as colors, the environment below, changes of codebooks above, time at the bottom."""
    count, parts = len(windows), list[str]()
    for i, window in enumerate(windows):
        kind = "silent" if window.silent else window.state
        x, next_x = place(i, count), place(i + 1, count)
        parts.append(
            f'<rect class="{kind}" x="{x:.1f}" y="40" width="{max(next_x - x - 0.6, 0.6):.1f}" height="22">'
            f"<title>{escape(_tip(window))}</title></rect>"
        )
    for start, stop, name in _runs([window.environment for window in windows]):
        x, width = place(start, count), place(stop, count) - place(start, count)
        shown = escape(name) if width > 7 * len(name) else ""
        parts.append(
            f'<line class="span" x1="{x + 1:.1f}" x2="{x + width - 1:.1f}" y1="68" y2="68"/>'
            f'<text class="tick middle" x="{x + width / 2:.1f}" y="82">{shown}</text>'
        )
    for mark in marks:
        x = place(mark.position, count)
        parts.append(
            f'<path class="flag {mark.kind}" d="M{x:.1f} 38 l-5 -9 h10 z">'
            f"<title>{escape(_mark_tip(mark))}</title></path>"
        )
    labeled = [mark for mark in marks if mark.kind in ("activate", "rollback")]
    last = -1e9
    for mark in labeled:
        x = place(mark.position, count)
        if x - last > 96:
            told = escape(f"{mark.kind} {mark.codebook_id[:8]}")
            parts.append(f'<text class="tick middle" x="{x:.1f}" y="22">{told}</text>')
            last = x
    parts += [
        f'<text class="tick middle" x="{place(i + 0.5, count):.1f}" y="102">{escape(label)}</text>'
        for i, label in _time_labels(windows)
    ]
    return f'<svg viewBox="0 0 {WIDTH} 108" role="img" aria-label="states">{"".join(parts)}</svg>'


def heat_map(title: str, name: str, windows: Sequence[Window], marks: Sequence[Mark]) -> str:
    """One measure by stage (rows) and window (columns); darker is larger."""
    columns = [window.stages.get(name, ()) for window in windows]
    stages = max((len(column) for column in columns), default=0)
    values = sorted(value for column in columns for value in column)
    if not stages or not values:
        return ""
    low, high = values[len(values) // 50], values[-1 - len(values) // 50]
    count, parts, row = len(windows), list[str](), max(6, 120 // stages)
    for i, column in enumerate(columns):
        x, width = place(i, count), place(i + 1, count) - place(i, count)
        for stage, value in enumerate(column):
            shade = 0.04 + 0.96 * min(1.0, max(0.0, (value - low) / max(high - low, 1e-12)))
            tip = f"stage {stage + 1}, {escape(_short(windows[i].time))}: {value:.3g}"
            parts.append(
                f'<rect class="cell" x="{x:.1f}" y="{4 + stage * row}" width="{width + 0.2:.1f}"'
                f' height="{row}" opacity="{shade:.2f}"><title>{tip}</title></rect>'
            )
    height = stages * row
    ticks = "".join(
        f'<text class="tick end" x="{LEFT - 6}" y="{4 + (stage + 0.5) * row + 3:.1f}">{stage + 1}</text>'
        for stage in range(0, stages, max(1, stages // 4))
    )
    key = f'<text class="tick" x="{WIDTH - RIGHT + 6}" y="14">{low:.2g} to {high:.2g}</text>'
    return (
        f'<section><h2>{escape(title)}</h2><svg viewBox="0 0 {WIDTH} {height + 8}" role="img"'
        f' aria-label="{escape(title)}">{"".join(parts)}{ticks}{key}'
        f"{_rules(marks, count, 4, height)}</svg></section>"
    )


def _paths(line: Sequence[float | None], count: int, y: Callable[[float], float]) -> list[str]:
    """One path for each stretch without gaps."""
    paths, points = list[str](), list[str]()
    for i, value in enumerate([*line, None]):
        if value is not None:
            points.append(f"{place(i + 0.5, count):.1f} {y(value):.1f}")
        elif points:
            # A single window is a dot: a line of no length with round ends.
            paths.append("M" + "L".join(points if len(points) > 1 else points * 2))
            points = []
    return paths


def _alerts(windows: Sequence[Window], top: int, height: int) -> str:
    count = len(windows)
    runs = _runs(["alert" if window.state == "alert" and not window.silent else "" for window in windows])
    return "".join(
        f'<rect class="shade" x="{place(start, count):.1f}" y="{top}"'
        f' width="{place(stop, count) - place(start, count):.1f}" height="{height}"/>'
        for start, stop, _ in runs
    )


def _rules(marks: Sequence[Mark], count: int, top: int, height: int) -> str:
    return "".join(
        f'<line class="rule" x1="{place(mark.position, count):.1f}" x2="{place(mark.position, count):.1f}"'
        f' y1="{top}" y2="{top + height}"/>'
        for mark in marks
        if mark.kind in ("activate", "rollback")
    )


def _hover(window: Window, lines: Sequence[Line], i: int, count: int, height: int) -> str:
    told = [f"{name} {line[i]:.3g}" for name, line in lines if line[i] is not None]
    x, width = place(i, count), place(i + 1, count) - place(i, count)
    return (
        f'<rect class="hover" x="{x:.1f}" y="8" width="{width:.1f}" height="{height}">'
        f"<title>{escape(_tip(window, told))}</title></rect>"
    )


def _tip(window: Window, told: Sequence[str] = ()) -> str:
    what = "silence, not judged" if window.silent else window.state
    lines = [f"{_short(window.time)}  {what}", *told]
    if window.score is not None and not told:
        lines.append(f"score {window.score:.1f} by {window.decisive}")
    if window.environment:
        lines.append(f"environment {window.environment}")
    return "\n".join([*lines, *(source.rsplit("/", 1)[-1] for source in window.sources[:3])])


def _mark_tip(mark: Mark) -> str:
    return f"{_short(mark.time)}  {mark.kind} {mark.codebook_id[:8]}\n{mark.text}"


def _short(time: str) -> str:
    return time[:19].replace("T", " ")


def _runs(names: Sequence[str]) -> list[tuple[int, int, str]]:
    """(start, stop, name) of equal neighbors that have a name."""
    runs: list[tuple[int, int, str]] = []
    for i, name in enumerate(names):
        if runs and runs[-1][2] == name:
            runs[-1] = (runs[-1][0], i + 1, name)
        else:
            runs.append((i, i + 1, name))
    return [run for run in runs if run[2]]


def _time_labels(windows: Sequence[Window]) -> list[tuple[int, str]]:
    """At most eight windows with their time; the day only where it changes."""
    step, day, labels = max(1, -(-len(windows) // 8)), "", list[tuple[int, str]]()
    for i in range(0, len(windows), step):
        moment = _short(windows[i].time)
        labels.append((i, moment[11:] if moment[:10] == day else moment[5:16]))
        day = moment[:10]
    return labels


def _scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Round ends and ticks around values."""
    span = (
        max(high - low, LEAST_SPAN * max(abs(high), abs(low), 1.0))
        if high > low
        else max(abs(high), 1.0) * 0.1
    )
    rough = span / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough), 10 * power)
    start, ticks = step * (low // step), list[float]()
    while len(ticks) < 2 or ticks[-1] < high:
        ticks.append(round(start + step * len(ticks), 10))
    return ticks[0], ticks[-1], ticks
