import math
import re
import threading

import matplotlib

from audiocodec.report.plots import Curve, draw, draw_curves

NAN = math.nan
CURVES = [
    Curve(0, (1500.0, 6000.0), (1.0, 3.0), (NAN, 2.0), (NAN, 4.0)),
    Curve(None, (1500.0, 6000.0), (2.0, 2.0), (NAN, NAN), (NAN, NAN)),
]


def curves(name="rates", **more):
    return draw_curves(name, CURVES, "kbit/s", {1500: "1.5", 6000: "6"}, **more)


def test_the_same_values_give_the_same_text_and_another_name_other_names_inside():
    assert curves() == curves()
    first, second = (set(re.findall(r' id="([^"]+)"', curves(name))) for name in ("first", "second"))
    assert first
    assert not first & second


def test_a_chart_is_part_of_a_page():
    svg = curves('a < "b"')
    assert svg.startswith('<svg role="img" aria-label="a &lt; &#34;b&#34;" viewBox=')
    assert svg.endswith("</svg>")
    assert "http" not in svg
    assert "<style" not in svg
    assert {"1.5", "6", "kbit/s"} <= set(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


def places(svg, color):
    """Ends of the line of a color."""
    (path,) = re.findall(rf'<path d="([^"]*)" clip-path="[^"]*" style="fill: none; [^"]*stroke: {color}', svg)
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_values_are_where_they_belong():
    (left, low), (right, high) = places(curves(intervals="bands"), "#0b63b5")
    assert left < right
    assert low > high  # down is larger
    (_, first), (_, second) = places(curves(intervals="bands"), "#5b6470")
    assert first == second
    noise = draw_curves("snr", CURVES, "SNR", {6000: "clean", 1500: "0"}, intervals="bands")
    (left, _), (right, _) = places(noise, "#0b63b5")
    assert left > right  # the first tick is at the left


def test_intervals_are_drawn_where_there_are_some():
    assert curves(intervals="bands").count("opacity: 0.14") == 1
    with_bars, with_none = curves(), draw_curves("rates", CURVES[1:], "kbit/s", {1500: "1.5"})
    assert with_bars.count("#0b63b5") > with_none.count("#0b63b5") == 0


def test_settings_of_the_process_stay(monkeypatch):
    before = dict(matplotlib.rcParams)
    drawn = {}

    def work(number):
        drawn[number] = curves("one")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn.values())) == 1
    assert dict(matplotlib.rcParams) == before


def test_dollar_signs_are_text():
    svg = draw("money", 100, 100, lambda figure: figure.text(0, 0, "$\\frac{1}$ & <b>"))
    assert "$\\frac{1}$ &amp; &lt;b&gt;" in svg
