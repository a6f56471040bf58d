import json
from urllib.request import urlopen

import pytest

from audiocodec.adaptation.dashboard import WatchCollector, build_page, read_timeline, serve_metrics
from audiocodec.errors import InputError


def line(number, state="ok", score=1.0, **more):
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


def write(path, lines):
    path.write_text("".join(json.dumps(entry) + "\n" for entry in lines))
    return path


@pytest.fixture
def log(tmp_path):
    lines = [line(0), line(1, "alert", 4.0), line(2, "alert", None), line(3, "warning", 2.5)]
    return write(tmp_path / "monitor.jsonl", lines)


def test_scraping(log):
    pytest.importorskip("prometheus_client")
    server, thread = serve_metrics(WatchCollector([log, log.with_name("none.jsonl")]), 0)
    address = f"http://127.0.0.1:{server.server_port}/metrics"
    try:
        text = urlopen(address).read().decode()
        assert 'audiocodec_drift_state{log="monitor"} 1.0' in text
        assert 'audiocodec_drift_score{log="monitor"} 2.5' in text
        assert 'audiocodec_drift_windows_total{log="monitor",state="alert"} 1.0' in text
        assert 'audiocodec_drift_windows_total{log="monitor",state="silent"} 1.0' in text
        assert 'audiocodec_drift_audio_seconds_total{log="monitor"} 120.0' in text
        assert 'audiocodec_drift_stage_measure{log="monitor",measure="js",stage="2"} 0.3' in text
        assert 'audiocodec_drift_environment{environment="unknown",log="monitor"} 1.0' in text
        with log.open("a") as file:
            file.write(json.dumps(line(4, "alert", 9.0)) + "\n")
        again = urlopen(address).read().decode()
        assert 'audiocodec_drift_state{log="monitor"} 2.0' in again
        assert 'audiocodec_drift_windows_total{log="monitor",state="ok"} 1.0' in again
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_port_in_use_is_an_error(log):
    pytest.importorskip("prometheus_client")
    server, thread = serve_metrics(WatchCollector([log]), 0)
    try:
        with pytest.raises(InputError, match="choose another"):
            serve_metrics(WatchCollector([log]), server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_page_needs_nothing_and_trusts_nothing(log):
    timeline = read_timeline([log])
    assert (timeline.total, timeline.alerts, timeline.seconds) == (4, 1, 120)
    page = build_page(timeline)
    assert "<script" not in page
    assert "http" not in page
    assert "<b>a.wav" not in page
    assert "&lt;b&gt;a.wav" in page
    assert page.count('class="silent"') == 1


def test_numbers_that_cannot_be_drawn_do_not_stop_the_dashboard(tmp_path):
    pytest.importorskip("prometheus_client")
    lines = [line(number, score=5.0, measures={"js": 1 + number * 1e-15}) for number in range(3)]
    text = "".join(json.dumps(entry) + "\n" for entry in lines)
    for bad in ("Infinity", "NaN", "1e400", "1e300", '"x"', "[1]", "9" * 400):
        text += json.dumps(line(9)).replace("30.0", bad).replace("1.5", bad) + "\n"
    text += json.dumps(line(9, stages={"js": [0.1] * 100_000})) + "\n"
    text += json.dumps({**line(9), "time": "yesterday"}) + "\n"
    (tmp_path / "m.jsonl").write_text(text)
    timeline = read_timeline([tmp_path / "m.jsonl"])
    assert timeline.total == 3
    assert "<svg" in build_page(timeline)
    families = {family.name: family for family in WatchCollector([tmp_path / "m.jsonl"]).collect()}
    assert families["audiocodec_drift_audio_seconds"].samples[0].value == 90


def test_many_windows_are_drawn_together_by_the_worst(tmp_path):
    lines = [
        line(number, "alert" if number == 7 else "ok", 9.0 if number == 7 else 1.0) for number in range(50)
    ]
    timeline = read_timeline([write(tmp_path / "m.jsonl", lines)], columns=10)
    assert len(timeline.windows) == 10
    assert timeline.total == 50
    assert [window.state for window in timeline.windows].count("alert") == 1
    assert timeline.windows[1].score == 9
    assert timeline.windows[0].seconds == 150


def test_lines_from_elsewhere_are_left_out(tmp_path):
    bad = [line(0, state="fine"), {"event": "window", "time": "x"}, line(1, measures={"a": "b"}), line(2)]
    assert read_timeline([write(tmp_path / "m.jsonl", bad)]).total == 1
    with pytest.raises(InputError, match="no window"):
        read_timeline([write(tmp_path / "m.jsonl", bad[:3])])
