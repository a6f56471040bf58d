"""Charts inside a page: matplotlib's SVG in one style, without pyplot, so that threads can draw.

Names from outside belong into the page around a chart: matplotlib's font lacks many letters, and warns.
"""

from __future__ import annotations

import io
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audiocodec.errors import require
from audiocodec.report.page import PACKAGES

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0b63b5", "#c2410c", "#0f7a55", "#8b35ab", "#8a6100", "#b8145a", "#0b7285", "#57606a")
"""Of codecs, lines and environments; the class `s0` of the page has the first, and so on."""
MARKERS, SYMBOLS = "osD^vP*X", "●■◆▲▼✚★✖"
"""Shapes of codecs on a chart, and the same in a legend."""
GRAY, GRID = "#5b6470", "#dfe2e6"
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a dollar sign is a dollar sign
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": GRAY,
    "axes.labelcolor": GRAY,
    "axes.edgecolor": GRID,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
}
_lock = threading.Lock()
"""matplotlib's settings belong to the whole process."""


def draw(name: str, width: float, height: float, paint: Callable[[Figure], None]) -> Markup:
    """A figure as SVG for a page, the same text for the same picture.

    Args:
        name: what it shows, for people who cannot see it; no other figure of the page has it.
        width: in points of 1/72 inch; the page stretches the figure to the room there is.
        height: in points.
        paint: puts axes into the figure.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    matplotlib = require("matplotlib", "a chart", PACKAGES)
    figures = require("matplotlib.figure", "a chart", PACKAGES)
    buffer = io.StringIO()
    with _lock, matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        figure = figures.Figure(figsize=(width / 72, height / 72), layout="constrained")
        paint(figure)
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    return _inline(buffer.getvalue(), name)


def _inline(svg: str, name: str) -> Markup:
    """Without what belongs to a file of its own: declarations, size, and names that several figures share."""
    safe = require("markupsafe", "a page", PACKAGES)
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1>", svg, count=1)
    svg = re.sub(r"<!--.*?-->|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="[\w.]+_\d+"', "", svg)
    svg = re.sub(r">\s+<", "><", svg)
    label = safe.escape(name)
    return safe.Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))


@dataclass(frozen=True)
class Curve:
    """Values of one codec with their intervals.

    Attributes:
        color: number of its color and marker; None for a reference, drawn gray and dotted.
        x: in order.
        y: as long as x.
        low: lower limits; NaN where there is no interval.
        high: upper limits.
    """

    color: int | None
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def draw_curves(
    name: str,
    curves: Sequence[Curve],
    x_label: str,
    x_ticks: Mapping[float, str],
    *,
    log: bool = False,
    y_range: tuple[float, float] | None = None,
    intervals: str = "bars",
) -> Markup:
    """Curves over labeled places, `intervals` as "bars" or as "bands"; `name` as for `draw`.

    The first of `x_ticks` is at the left, even when it is the largest.
    """

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for curve in curves:
            _paint_curve(axes, curve, intervals)
        if log:
            axes.set_xscale("log")
        axes.set_xticks(list(x_ticks), list(x_ticks.values()))
        axes.set_xticks([], minor=True)
        if y_range is not None:
            axes.set_ylim(*y_range)
        places = list(x_ticks)
        if len(places) > 1 and places[0] > places[-1]:
            axes.invert_xaxis()
        axes.grid(visible=False, axis="x")
        axes.set_xlabel(x_label)

    return draw(name, 300, 195, paint)


def _paint_curve(axes: Axes, curve: Curve, intervals: str) -> None:
    if curve.color is None:
        axes.plot(curve.x, curve.y, color=GRAY, linestyle=":")
        return
    color, marker = COLORS[curve.color % len(COLORS)], MARKERS[curve.color % len(MARKERS)]
    axes.plot(curve.x, curve.y, color=color, marker=marker, markeredgecolor="white", markeredgewidth=0.5)
    known = [
        (x, y, low, high)
        for x, y, low, high in zip(curve.x, curve.y, curve.low, curve.high, strict=True)
        if math.isfinite(low) and math.isfinite(high)
    ]
    if not known:
        return
    x, _, low, high = zip(*known, strict=True)
    if intervals == "bands":
        axes.fill_between(x, low, high, color=color, alpha=0.14, linewidth=0)
    else:
        axes.vlines(x, low, high, color=color, linewidth=1)
        axes.plot(x, low, x, high, color=color, linestyle="", marker="_", markersize=5)
