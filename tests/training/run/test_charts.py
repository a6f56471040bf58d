"""Where points lie on a chart, and what its axes say."""

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from audiocodec.training.run.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MAX_POINTS,
    RIGHT,
    TOP,
    WIDTH,
    Line,
    even_ticks,
    heat_map,
    legend,
    line_chart,
    log_ticks,
    number,
    sparkline,
    thinned,
)


def points(svg):
    """Coordinates of each curve."""
    paths = [line.get("points") for line in ElementTree.fromstring(svg).iter("polyline")]
    return [[tuple(map(float, point.split(","))) for point in path.split()] for path in paths]


def test_points_lie_between_the_axes():
    """Values 0 to 4 have ticks 0 to 4: they span the whole height, steps the whole width."""
    line = Line("mel", [(0, 0.0), (50, 1.0), (100, 4.0)])
    ((first, middle, last),) = points(line_chart([line], "mel"))
    assert first == (LEFT, HEIGHT - BOTTOM)
    assert last == (WIDTH - RIGHT, TOP)
    assert middle == pytest.approx(
        ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) / 4)
    )


def test_a_logarithmic_chart_has_equal_steps_for_equal_ratios():
    ((first, middle, last),) = points(
        line_chart([Line("norm", [(0, 1.0), (1, 100.0), (2, 10000.0)])], "norm", log=True)
    )
    assert first[1] - middle[1] == pytest.approx(middle[1] - last[1], abs=0.2)
    assert points(line_chart([Line("zero", [(0, 0.0), (1, 1.0)])], "zero", log=True))  # an even one


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.0, 1.0), (0.31, 0.66), (2.0, 2.0), (0.0, 0.0), (-3.0, 12.0), (1e-4, 5e-4), (7, 12000)],
)
def test_even_ticks_cover_the_range_in_round_steps(low, high):
    ticks = even_ticks(low, high)
    steps = {round(b - a, 12) for a, b in pairwise(ticks)}
    assert ticks[0] <= low + 1e-9
    assert ticks[-1] >= high - 1e-9
    assert 2 <= len(ticks) <= 7
    mantissas = {f"{step:e}".split("e")[0].rstrip("0").rstrip(".") for step in steps}
    assert mantissas <= {"1", "2", "2.5", "5"}


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (0.9, 6.5), (3.0, 4000.0)])
def test_log_ticks_cover_the_range(low, high):
    ticks = log_ticks(low, high)
    assert ticks[0] <= low <= high <= ticks[-1]
    assert 2 <= len(ticks) <= 8


def test_many_points_become_means():
    curve = [(float(step), float(step % 2)) for step in range(MAX_POINTS * 4)]
    thin = thinned(curve)
    assert len(thin) == MAX_POINTS
    assert {value for _, value in thin} == {0.5}
    assert thin[-1][0] == curve[-1][0]
    assert thinned([(1, math.nan), (2, 3.0)]) == [(2, 3.0)]


def test_one_point_and_none():
    assert "circle" in line_chart([Line("mel", [(5, 1.0)])], "mel")
    assert line_chart([Line("mel", [])], "mel") == ""
    assert heat_map([], [], 1.0, "use") == ""
    assert sparkline([(1, 1.0)]) == ""


def test_a_heat_map_has_a_cell_for_every_number():
    root = ElementTree.fromstring(heat_map([10, 20], [[0.0, 1.0], [0.5, math.nan]], 1.0, "use"))
    cells = [(cell.get("style"), cell[0].text) for cell in root.iter("rect")]
    assert [text.split(": ")[1] for _, text in cells] == ["0", "1", "0.5", "none"]
    shares = [float(re.sub("[^0-9.]", "", style)) for style, _ in cells]
    assert shares == [0.06, 1.0, 0.53, 0.06]


def test_names_cannot_break_out():
    for text in (legend(["<b>"]), line_chart([Line("<b>", [(0, 1.0), (1, 2.0)])], "<b>")):
        assert "<b>" not in text
        assert "&lt;b&gt;" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (20000, "20k"),
        (1500, "1.5k"),
        (1234, "1234"),
        (0.025, "0.025"),
        (3, "3"),
        (2e6, "2M"),
        (math.nan, "none"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text
