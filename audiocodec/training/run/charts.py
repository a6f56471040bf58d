"""Line charts and heat maps as inline SVG: no program, no network, colors from the page's style sheet."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 24
MAX_POINTS = 240
"""Of a line; more are averaged in groups."""
HOVERED = 60
"""Places along a chart where the numbers can be read off."""
COLORS = 6


class Line(NamedTuple):
    """Points of one curve.

    Attributes:
        name: in the legend.
        points: (step, value), in order of steps.
    """

    name: str
    points: Sequence[tuple[float, float]]


class _Frame:
    """Where steps and values lie on a chart."""

    def __init__(self, lines: Sequence[Line], log: bool) -> None:
        values = [value for line in lines for _, value in line.points]
        self.log = log and min(values) > 0
        self.last = max(1.0, *(step for line in lines for step, _ in line.points))
        self.ticks = (log_ticks if self.log else even_ticks)(min(values), max(values))

    def x(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / self.last

    def y(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.ticks[0], self.ticks[-1], value))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    def axes(self) -> str:
        grid = "".join(
            f'<path class="grid" d="M{LEFT} {self.y(tick):.1f}H{WIDTH - RIGHT}"/>'
            f'<text class="tick end" x="{LEFT - 5}" y="{self.y(tick) + 3.5:.1f}">{number(tick)}</text>'
            for tick in self.ticks
        )
        steps = (step for step in even_ticks(0, self.last, 3) if step <= self.last)
        return grid + "".join(
            f'<text class="tick middle" x="{self.x(step):.1f}" y="{HEIGHT - 7}">{number(step)}</text>'
            for step in steps
        )

    def curve(self, position: int, line: Line) -> str:
        path = " ".join(f"{self.x(step):.1f},{self.y(value):.1f}" for step, value in line.points)
        if len(line.points) > 1:
            return f'<polyline class="line line{position}" points="{path}"/>'
        x, y = path.split(",")
        return f'<circle class="fill{position}" cx="{x}" cy="{y}" r="3"/>'

    def hover(self, lines: Sequence[Line]) -> str:
        """Columns that show the numbers under the pointer."""
        width = (WIDTH - LEFT - RIGHT) / HOVERED
        columns: list[str] = []
        for column in range(HOVERED):
            middle = self.last * (column + 0.5) / HOVERED
            near = [(line.name, min(line.points, key=lambda p: abs(p[0] - middle))) for line in lines]
            text = "".join(f"\n{name}: {number(value)}" for name, (_, value) in near)
            columns.append(
                f'<rect class="hover" x="{LEFT + column * width:.1f}" y="0" width="{width:.1f}"'
                f' height="{HEIGHT}"><title>step {near[0][1][0]:.0f}{escape(text)}</title></rect>'
            )
        return "".join(columns)


def line_chart(lines: Sequence[Line], label: str, log: bool = False) -> str:
    """One chart of up to COLORS lines over steps; `label` is what a screen reader says."""
    lines = [Line(line.name, thinned(line.points)) for line in lines][:COLORS]
    lines = [line for line in lines if line.points]
    if not lines:
        return ""
    frame = _Frame(lines, log)
    curves = "".join(frame.curve(position, line) for position, line in enumerate(lines))
    return f"{_svg(HEIGHT, label)}{frame.axes()}{curves}{frame.hover(lines)}</svg>"


def legend(names: Sequence[str]) -> str:
    """What the colors of a chart mean."""
    keys = (f'<span><i class="key{at}"></i>{escape(name)}</span>' for at, name in enumerate(names[:COLORS]))
    return f'<p class="legend">{"".join(keys)}</p>'


def heat_map(steps: Sequence[float], rows: Sequence[Sequence[float]], highest: float, label: str) -> str:
    """Cells for `rows` [N][steps], from 0 to `highest`, row 0 on top; shows the numbers on hovering."""
    if not rows or not steps:
        return ""
    width, height = (WIDTH - LEFT - RIGHT) / len(steps), min(18.0, (HEIGHT - BOTTOM) / len(rows))
    bottom = height * len(rows)
    parts = [_svg(round(bottom) + 20, label)]
    for row, values in enumerate(rows):
        top = row * height
        if row % max(1, round(len(rows) / 8)) == 0:
            parts.append(
                f'<text class="tick end" x="{LEFT - 5}" y="{top + height / 2 + 3.5:.1f}">{row}</text>'
            )
        for column, value in enumerate(values):
            share = 0.0 if math.isnan(value) else min(1.0, value / highest)
            parts.append(
                f'<rect class="cell" x="{LEFT + column * width:.1f}" y="{top:.1f}" width="{width + 0.3:.1f}"'
                f' height="{height - 0.6:.1f}" style="opacity:{0.06 + 0.94 * share:.2f}"><title>'
                f"step {number(steps[column])}, stage {row}: {number(value)}</title></rect>"
            )
    ends = [(LEFT, "start", steps[0]), (WIDTH - RIGHT, "end", steps[-1])][: len(steps)]
    parts += [
        f'<text class="tick {anchor}" x="{x}" y="{bottom + 14:.0f}">{number(step)}</text>'
        for x, anchor, step in ends
    ]
    return "".join([*parts, "</svg>"])


def sparkline(points: Sequence[tuple[float, float]]) -> str:
    """A curve of a table's cell, without axes."""
    points = thinned(points)
    if len(points) < 2:
        return ""
    values = [value for _, value in points]
    low, size = min(values), max(max(values) - min(values), 1e-9)
    last, first = points[-1][0], points[0][0]
    path = " ".join(
        f"{2 + 86 * (step - first) / (last - first):.1f},{20 - 16 * (value - low) / size:.1f}"
        for step, value in points
    )
    line = f'<polyline class="line line0" points="{path}"/>'
    return f'<svg class="spark" viewBox="0 0 90 24" aria-hidden="true">{line}</svg>'


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MAX_POINTS points: means of neighbors."""
    finite = [point for point in points if math.isfinite(point[1])]
    size = -(-len(finite) // MAX_POINTS) or 1
    groups = [finite[start : start + size] for start in range(0, len(finite), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def even_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round numbers, the first at or below `low`, the last at or above `high`."""
    size = (max(high - low, abs(high) * 1e-3) or 1.0) / count
    unit = 10.0 ** math.floor(math.log10(size))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= size * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [at * step for at in range(first, max(last, first + 1) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten around [low, high], with 2 and 5 between where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
    below = [tick for tick in ticks if tick <= low] or ticks[:1]
    above = [tick for tick in ticks if tick >= high] or ticks[-1:]
    inside = [tick for tick in ticks if below[-1] <= tick <= above[0]]
    return inside if len(inside) > 1 else [below[-1], 10 * below[-1]]


def number(value: float) -> str:
    """A number as people read it: 20k, 0.025, 3.1."""
    if not math.isfinite(value):
        return "none"
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 10 or (abs(value) >= size and value % (size / 10) == 0):
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _svg(height: int, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
