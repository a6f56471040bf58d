import re
from itertools import pairwise

import pytest

from audiocodec.evaluation.report.charts import (
    WIDTH,
    Axis,
    Curve,
    Dot,
    bitrate_axis,
    chart,
    even_axis,
    spread,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "first", "last", "texts"),
    [
        ((1.1, 2.4), 1.0, 2.5, {"1.5"}),
        ((0.81, 0.97), 0.8, 1.0, {"0.85"}),
        ((-2.3, 9.5), -2.5, 10.0, {"\N{MINUS SIGN}2.5", "10.0"}),
        ((3.0, 3.0), 2.99, 3.02, set()),
    ],
)
def test_axes_have_round_numbers_around_the_values(values, first, last, texts):
    axis = even_axis(values, "x", 3)
    assert axis.low <= min(values) <= max(values) <= axis.high
    assert axis.low == pytest.approx(first, abs=0.02)
    assert axis.high == pytest.approx(last, abs=0.02)
    assert texts <= {text for _, text in axis.ticks}
    for value, text in axis.ticks:
        assert float(text.replace("\N{MINUS SIGN}", "-")) == pytest.approx(value)


@pytest.mark.parametrize("rates", [(1500, 3000, 6000, 12000), (600,), (500, 64000), (3000, 3200)])
def test_bitrates_are_not_written_over_each_other(rates):
    axis = bitrate_axis(rates)
    places = [axis.share(value) for value, _ in axis.ticks]
    assert all(0 <= place <= 1 for place in places)
    assert all(b - a > 0.1 for a, b in pairwise(places))
    assert all(0 < axis.share(rate) < 1 for rate in rates)


def test_labels_are_moved_apart_and_stay_inside():
    placed = spread([50.0, 52.0, 53.0, 200.0], 10, 210)
    assert placed == sorted(placed)
    assert min(b - a for a, b in pairwise(placed)) >= 13
    assert spread([10.0, 100.0], 0, 200) == [10.0, 100.0]
    low = spread([199.0, 200.0, 200.0], 0, 200)
    assert low == [174.0, 187.0, 200.0]


def test_a_chart_puts_values_where_they_belong():
    axis = Axis(0.0, 10.0, [(0, "0"), (10, "10")], "x")
    upright = Axis(1.0, 5.0, [(1, "1"), (5, "5")], "y")
    svg = chart([Curve("codec & co", 0, [Dot(0, 1, NAN, NAN), Dot(5, 3, 2, 4)])], axis, upright, "a < b")
    assert 'aria-label="a &lt; b"' in svg
    assert "codec &amp; co: 3 (2 to 4)" in svg
    (line,) = re.findall(r'<path class="curve" d="M([\d. L]+)"', svg)
    first, second = ([float(part) for part in point.split()] for point in line.split("L"))
    rules = [float(y) for y in re.findall(r'<path class="rule" d="M38 ([\d.]+)H', svg)]
    assert first[1] == pytest.approx(rules[0], abs=0.1)  # at y = 1
    assert second[1] == pytest.approx(sum(rules) / 2, abs=0.1)
    assert svg.count('class="bar"') == 1  # none where there is no interval


def test_names_fit_beside_their_curves():
    name = "a codec of a long name"
    axis = Axis(0.0, 10.0, [(0, "0")], "x")
    svg = chart([Curve(name, 1, [Dot(0, 1, NAN, NAN), Dot(10, 3, NAN, NAN)])], axis, axis, "")
    (x,) = re.findall(r'<text class="name s1" x="([\d.]+)"', svg)
    assert float(x) + 6.5 * len(name) <= WIDTH + 3
