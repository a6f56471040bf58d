import pytest

from audiocodec.adaptation.dashboard import read_timeline
from audiocodec.errors import InputError


def test_totals(log):
    timeline = read_timeline([log])
    assert (timeline.total, timeline.alerts, timeline.seconds) == (4, 1, 120)


def test_numbers_that_cannot_be_drawn_are_left_out(strange_log):
    assert read_timeline([strange_log]).total == 3


def test_many_windows_are_drawn_together_by_the_worst(line, write):
    lines = [
        line(number, "alert" if number == 7 else "ok", 9.0 if number == 7 else 1.0) for number in range(50)
    ]
    timeline = read_timeline([write(lines)], columns=10)
    assert len(timeline.windows) == 10
    assert timeline.total == 50
    assert [window.state for window in timeline.windows].count("alert") == 1
    assert timeline.windows[1].score == 9
    assert timeline.windows[0].seconds == 150


def test_lines_from_elsewhere_are_left_out(line, write):
    bad = [line(0, state="fine"), {"event": "window", "time": "x"}, line(1, measures={"a": "b"}), line(2)]
    assert read_timeline([write(bad)]).total == 1
    with pytest.raises(InputError, match="no window"):
        read_timeline([write(bad[:3])])
