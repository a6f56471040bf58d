import math
from itertools import pairwise

import pytest

from audiocodec.evaluation.report import curves
from audiocodec.evaluation.report.facts import Facts
from audiocodec.evaluation.summary import summarize
from audiocodec.storage import plain


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn: (curves, ticks) by the name of the chart."""
    found = {}

    def draw_curves(name, curves, x_label, x_ticks, **more):
        found[name] = (curves, x_ticks)
        return ""

    monkeypatch.setattr(curves, "draw_curves", draw_curves)
    return found


@pytest.fixture
def facts(made_rows):
    return Facts(plain(summarize(made_rows(), resamples=20)), {})


def test_scores_are_drawn_over_measured_bitrates(facts, drawn):
    panels = list(curves.over_bitrate(facts))
    assert [one.title for one in panels] == ["Clean speech", "Mean of 2 other conditions"]
    assert panels[0].legend == [("model", 0), ("late", 1), ("far", 2)]
    shown, ticks = drawn["PESQ-WB over bitrate, Clean speech"]
    assert [list(curve.x) for curve in shown] == [[2000, 4000, 8000], [4000, 8000, 16000], [16000, 32000]]
    assert ticks == {2000: "2.0", 4000: "4.0", 8000: "8.0", 16000: "16.0", 32000: "32.0"}
    mean = 1 - 0.35 - 0.005
    assert shown[0].y == pytest.approx([mean + 1, mean + 2, mean + 3])
    assert all(low < y < high for low, y, high in zip(shown[0].low, shown[0].y, shown[0].high, strict=True))


@pytest.mark.parametrize("rates", [(1500, 3000, 6000, 12000), (600,), (500, 64000), (3000, 3001, 9000)])
def test_bitrates_are_not_written_over_each_other(rates):
    ticks = list(curves._bitrate_ticks(rates))
    assert ticks[0] == rates[0]
    assert all(math.log(b / a) > 0.1 * math.log(rates[-1] / rates[0]) for a, b in pairwise(ticks))


def test_noise_is_drawn_over_the_snr_beside_clean_speech(facts, drawn):
    panels = list(curves.over_snr(facts))
    assert [one.folded for one in panels] == [False, False, True, True, True, True]
    assert panels[0].legend == [("model 2.0 kbit/s", 0), ("late 4.0 kbit/s", 1), ("far 16.0 kbit/s", 2)]
    shown, ticks = drawn["PESQ-WB against what went in, at about 2.0 kbit/s, hum"]
    assert list(ticks.values()) == ["clean", "20", "0"]
    mean = 1 - 0.35 - 0.005 + 1
    assert list(shown[0].x) == list(ticks)
    assert shown[0].y == pytest.approx([mean, mean - 0.1, mean - 0.7])


def test_one_speaker_has_curves_without_intervals(made_rows, drawn):
    rows = made_rows()
    summary = plain(summarize(rows[rows["speaker"] == "s1"], resamples=20))
    list(curves.over_bitrate(Facts(summary, {})))
    shown, _ = drawn["PESQ-WB over bitrate, Clean speech"]
    assert all(math.isnan(limit) for curve in shown for limit in (*curve.low, *curve.high))
