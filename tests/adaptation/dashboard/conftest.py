import json

import pytest


@pytest.fixture(scope="session")
def line():
    """Makes a window as the log has it."""

    def make(number, state="ok", score=1.0, **more):
        silent = score is None
        return {
            "time": f"2026-11-21T10:{number // 60:02}:{number % 60:02}.000+00:00",
            "event": "window",
            "number": number,
            "start_seconds": 30.0 * number,
            "end_seconds": 30.0 * number + 30,
            "state": state,
            "silent": silent,
            "score": score,
            "warning_threshold": None if silent else 2.0,
            "alert_threshold": None if silent else 3.0,
            "decisive": "w2",
            "measures": None if silent else {"relative_error": 1.5, "js": 0.2},
            "stages": None if silent else {"js": [0.1, 0.3]},
            "environment": None if silent else {"name": None, "nearest": "clean"},
            "sources": ["<b>a.wav"],
            "codebook_id": "ab" * 32,
            "baseline": "clean",
            **more,
        }

    return make


@pytest.fixture
def write(tmp_path):
    """Writes lines into a log."""

    def make(lines, name="monitor.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(entry) + "\n" for entry in lines))
        return path

    return make


@pytest.fixture
def log(line, write):
    return write([line(0), line(1, "alert", 4.0), line(2, "alert", None), line(3, "warning", 2.5)])


@pytest.fixture
def strange_log(line, write):
    """Three windows with numbers that are nearly equal, and nine whose numbers cannot be drawn."""
    path = write([line(number, score=5.0, measures={"js": 1 + number * 1e-15}) for number in range(3)])
    text = path.read_text()
    for bad in ("Infinity", "NaN", "1e400", "1e300", '"x"', "[1]", "9" * 400):
        text += json.dumps(line(9)).replace("30.0", bad).replace("1.5", bad) + "\n"
    text += json.dumps(line(9, stages={"js": [0.1] * 100_000})) + "\n"
    path.write_text(text + json.dumps({**line(9), "time": "yesterday"}) + "\n")
    return path
