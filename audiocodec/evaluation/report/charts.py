"""Curves with intervals as inline SVG: no program, no network, colors from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from typing import NamedTuple

from audiocodec.evaluation.report.style import COLORS
from audiocodec.evaluation.report.text import MINUS

WIDTH, HEIGHT = 370, 258
LEFT, TOP, BOTTOM = 38, 12, 40
_LETTER = 6.6
"""Width of a letter of a label."""
_LINE = 13.0
"""Height of a label."""


class Dot(NamedTuple):
    """A value with its interval; the limits are NaN where there is none."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """One codec.

    Attributes:
        name: beside its end.
        color: number of its color and shape; None for a reference, drawn gray and dotted.
        dots: in order of x.
    """

    name: str
    color: int | None
    dots: Sequence[Dot]

    @property
    def style(self) -> str:
        """Class that gives it its color."""
        return "none" if self.color is None else f"s{self.color % COLORS}"


@dataclass(frozen=True)
class Axis:
    """One direction of a chart.

    Attributes:
        low: value at the left or bottom; may be the larger one.
        high: value at the right or top.
        ticks: values and what is written there.
        title: with its unit.
        log: whether equal steps are equal factors.
    """

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    title: str
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, from 0 at `low` to 1 at `high`."""
        scale: Callable[[float], float] = math.log if self.log else float
        low, high = scale(self.low), scale(self.high)
        return (scale(value) - low) / (high - low)


def even_axis(values: Sequence[float], title: str, decimals: int, count: int = 5) -> Axis:
    """An axis with about `count` round numbers around the values."""
    low, high = min(values), max(values)
    size = max(high - low, abs(high) * 0.02, 1e-6) / count
    unit = 10.0 ** math.floor(math.log10(size))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= size * 0.999)
    first = math.floor(low / step + 1e-6)
    last = max(math.ceil(high / step - 1e-6), first + 1)
    decimals = max(min(decimals, 3), 0 if step >= 1 else math.ceil(-math.log10(step) - 1e-9))
    while decimals > 0 and all(
        abs(round(at * step, decimals - 1) - at * step) < 1e-9 for at in range(first, last + 1)
    ):
        decimals -= 1
    ticks = [(at * step, f"{at * step:.{decimals}f}".replace("-", MINUS)) for at in range(first, last + 1)]
    return Axis(ticks[0][0], ticks[-1][0], ticks, title)


def bitrate_axis(bitrates: Sequence[float]) -> Axis:
    """Bitrates in bit/s, written in kbit/s, equal factors in equal steps."""
    low, high = min(bitrates) / 1.12, max(bitrates) * 1.12
    axis = Axis(low, high, (), "kbit/s, measured", log=True)
    known = [factor * 10.0**power for power in range(2, 6) for factor in (1, 1.5, 2, 3, 4, 6, 8)]
    ticks: list[float] = []
    for rate in sorted(
        {*known, 12e3, 16e3, 24e3, 32e3, 48e3, 64e3, 96e3, 128e3} - {1e4, 15e3, 3e4, 4e4, 6e4, 8e4}
    ):
        if low <= rate <= high and (not ticks or axis.share(rate) - axis.share(ticks[-1]) > 0.11):
            ticks.append(rate)
    return replace(axis, ticks=[(rate, f"{rate / 1000:g}") for rate in ticks])


def chart(curves: Sequence[Curve], x_axis: Axis, y_axis: Axis, label: str, bands: bool = False) -> str:
    """Curves with bars or bands for their intervals, each named at its end; `label` is read out."""
    drawn = [curve for curve in curves if curve.dots]
    frame = _Frame(x_axis, y_axis, drawn)
    parts = [frame.axes()]
    if bands:
        parts += [frame.band(curve) for curve in drawn if curve.color is not None]
    parts += [frame.curve(curve, bars=not bands) for curve in drawn]
    parts.append(frame.names(drawn))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def legend(names: Sequence[tuple[str, int | None]]) -> str:
    """Color and shape of each codec."""
    keys: list[str] = []
    for name, color in names:
        curve = Curve(name, color, ())
        shape = "" if color is None else _shape(color, 13, 6)
        keys.append(
            f'<span><svg viewBox="0 0 26 12" class="{curve.style}" aria-hidden="true">'
            f'<path class="curve" d="M0 6H26"/>{shape}</svg>{escape(name)}</span>'
        )
    return f'<div class="legend">{"".join(keys)}</div>'


class _Frame:
    def __init__(self, x_axis: Axis, y_axis: Axis, curves: Sequence[Curve]) -> None:
        self.x_axis, self.y_axis = x_axis, y_axis
        self.right = WIDTH - 12.0
        for _ in range(3):  # room for names beside their ends, which move with the room
            need = [self.x(curve.dots[-1].x) + 10 + _LETTER * len(curve.name) for curve in curves]
            self.right -= max(0.0, max(need, default=0.0) - WIDTH)

    def x(self, value: float) -> float:
        return LEFT + (self.right - LEFT) * self.x_axis.share(value)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * self.y_axis.share(value)

    def axes(self) -> str:
        right, bottom = self.right, HEIGHT - BOTTOM
        rows = "".join(
            f'<path class="rule" d="M{LEFT} {self.y(value):.1f}H{right:.1f}"/>'
            f'<text class="end" x="{LEFT - 6}" y="{self.y(value) + 4:.1f}">{text}</text>'
            for value, text in self.y_axis.ticks
        )
        columns = "".join(
            f'<path class="rule" d="M{self.x(value):.1f} {bottom}v4"/>'
            f'<text class="middle" x="{self.x(value):.1f}" y="{bottom + 16}">{text}</text>'
            for value, text in self.x_axis.ticks
        )
        middle = (LEFT + right) / 2
        name = f'<text class="axis middle" x="{middle:.1f}" y="{HEIGHT - 6}">{self.x_axis.title}</text>'
        return rows + columns + name

    def curve(self, curve: Curve, bars: bool) -> str:
        places = [(self.x(dot.x), self.y(dot.y)) for dot in curve.dots]
        parts = [
            f'<path class="curve" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>',
            *(self._bar(dot) for dot in curve.dots if bars and curve.color is not None),
        ]
        for (x, y), dot in zip(places, curve.dots, strict=True):
            shape = "" if curve.color is None else _shape(curve.color, x, y)
            parts.append(f"<g>{shape}<title>{escape(curve.name)}: {_hint(dot)}</title></g>")
        return f'<g class="{curve.style}">{"".join(parts)}</g>'

    def _bar(self, dot: Dot) -> str:
        if math.isnan(dot.low):
            return ""
        x, low, high = self.x(dot.x), self.y(dot.low), self.y(dot.high)
        return (
            f'<path class="bar" d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 3:.1f} {low:.1f}h6'
            f'M{x - 3:.1f} {high:.1f}h6"/>'
        )

    def band(self, curve: Curve) -> str:
        sure = [dot for dot in curve.dots if not math.isnan(dot.low)]
        if len(sure) < 2:
            return ""
        upper = [f"{self.x(dot.x):.1f} {self.y(dot.high):.1f}" for dot in sure]
        lower = [f"{self.x(dot.x):.1f} {self.y(dot.low):.1f}" for dot in reversed(sure)]
        return f'<path class="band {curve.style}" d="M{" L".join([*upper, *lower])}Z"/>'

    def names(self, curves: Sequence[Curve]) -> str:
        """The name of each curve beside its last point, where it hides no other."""
        ends = sorted(
            ((self.y(curve.dots[-1].y), self.x(curve.dots[-1].x), curve) for curve in curves),
            key=lambda end: end[0],
        )
        if ends and max(x for _, x, _ in ends) - min(x for _, x, _ in ends) < 1:
            heights = spread([y for y, _, _ in ends], TOP + 2, HEIGHT - BOTTOM - 2)
            places = [(x + 8, height) for (_, x, _), height in zip(ends, heights, strict=True)]
        else:
            places = self._free_places([(x, y, len(curve.name)) for y, x, curve in ends], curves)
        return "".join(
            f'<text class="name {curve.style}" x="{x:.1f}" y="{y + 4:.1f}">{escape(curve.name)}</text>'
            for (x, y), (_, _, curve) in zip(places, ends, strict=True)
        )

    def _free_places(
        self, ends: Sequence[tuple[float, float, int]], curves: Sequence[Curve]
    ) -> list[tuple[float, float]]:
        """For names of so many letters, of places around the ends those with the least of curves behind."""
        ink = [point for curve in curves for point in self._ink(curve)]
        taken: list[tuple[float, float, float]] = []
        for x, y, letters in ends:
            width = _LETTER * letters
            around = [
                (x + 8, y),
                (x + 8, y - 10),
                (x + 8, y + 10),
                (x - width / 2, y - 14),
                (x - width / 2, y + 14),
            ]

            def hidden(place: tuple[float, float], width: float = width) -> int:
                left, middle = place
                lines = sum(left < x < left + width and abs(y - middle) < _LINE / 2 for x, y in ink)
                names = sum(
                    left < other + size and other < left + width and abs(y - middle) < _LINE
                    for other, y, size in taken
                )
                outside = left + width > WIDTH or not TOP < middle < HEIGHT - BOTTOM
                return lines + 30 * names + 60 * outside

            best = min(around, key=hidden)
            taken.append((*best, width))
        return [(x, y) for x, y, _ in taken]

    def _ink(self, curve: Curve) -> list[tuple[float, float]]:
        """Points along a curve and its bars."""
        found = [(self.x(dot.x), self.y(dot.y)) for dot in curve.dots]
        for (x, y), (next_x, next_y) in pairwise(found[:]):
            found += [(x + at / 20 * (next_x - x), y + at / 20 * (next_y - y)) for at in range(1, 20)]
        for dot in curve.dots:
            if not math.isnan(dot.low):
                low, high = self.y(dot.low), self.y(dot.high)
                found += [(self.x(dot.x), low + at / 8 * (high - low)) for at in range(9)]
        return found


def spread(heights: Sequence[float], top: float, bottom: float) -> list[float]:
    """Move sorted heights apart, as little as it takes, so that labels there do not overlap."""
    placed = [max(height, top) for height in heights]
    for at in range(1, len(placed)):
        placed[at] = max(placed[at], placed[at - 1] + _LINE)
    if placed and placed[-1] > bottom:
        placed[-1] = bottom
        for at in range(len(placed) - 2, -1, -1):
            placed[at] = min(placed[at], placed[at + 1] - _LINE)
    return placed


def _shape(color: int, x: float, y: float) -> str:
    """A dot, square, diamond or triangle: curves are told apart without color as well."""
    shapes = (
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
        f'<path class="dot" d="M{x - 3.6:.1f} {y - 3.6:.1f}h7.2v7.2h-7.2z"/>',
        f'<path class="dot" d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"/>',
        f'<path class="dot" d="M{x:.1f} {y - 5:.1f}l4.8 8.4h-9.6z"/>',
    )
    return shapes[color % len(shapes)]


def _hint(dot: Dot) -> str:
    text = f"{dot.y:.3g}"
    return text if math.isnan(dot.low) else f"{text} ({dot.low:.3g} to {dot.high:.3g})"
