import io
import sys

import pytest

from audiocodec.cli.parts.output import Output
from audiocodec.cli.parts.train_display import TrainDisplay, _duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_without_a_terminal(capsys):
    clock = iter([0.0, 30.0]).__next__
    with TrainDisplay(Output(), 100, 400, clock) as display:
        display.report(
            150, {"total": 4.93788, "mel": 0.605585, "grad_norm": 2.0, "audio_seconds_per_second": 44.5}
        )
        display.report(150, {"valid/pesq_wb/6": 1.46012, "valid/unscored": 0.0})
    assert capsys.readouterr().err.splitlines() == [
        "step 150/400  total 4.938  mel 0.6056  44x real time  2 min left",
        "step 150  validation: pesq_wb/6 1.460",
    ]


def test_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    with TrainDisplay(Output(), 0, 400) as display:
        display.report(200, {"total": 4.93788, "audio_seconds_per_second": 44.5})
        display.report(200, {"valid/stoi/6": 0.8})
    assert "200/400" in terminal.getvalue()
    assert "total 4.938" in terminal.getvalue()
    assert "step 200  validation: stoi/6 0.800" in terminal.getvalue()


@pytest.mark.parametrize(
    "output", [Output(quiet=True), Output(as_json=True, quiet=True)], ids=["quiet", "json"]
)
def test_no_bar_when_quiet_or_json(monkeypatch, output):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with TrainDisplay(output, 0, 400) as display:
        display.report(200, {"total": float("nan")})
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (29, "29 s"), (60, "1 min"), (3599, "1 h 00 min"), (90_000, "25 h 00 min")],
)
def test_durations(seconds, text):
    assert _duration(seconds) == text
