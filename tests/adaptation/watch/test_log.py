import pytest

from audiocodec.adaptation.watch import MonitorLog, read_log
from audiocodec.adaptation.watch.log import read_new
from audiocodec.errors import InputError


def test_lines_survive_what_is_half_written(tmp_path):
    path = tmp_path / "monitor.jsonl"
    MonitorLog(path, clock=lambda: 0.0).add("start", {"a": float("nan")})
    with path.open("ab") as file:
        file.write(b'{"event": "win')
    MonitorLog(path, clock=lambda: 1.5).add("end", {"b": 1})
    events = list(read_log(path))
    assert [event["event"] for event in events] == ["start", "end"]
    assert events[0]["a"] is None
    assert events[1]["time"] == "1970-01-01T00:00:01.500+00:00"


def test_reading_on(tmp_path):
    path = tmp_path / "monitor.jsonl"
    log = MonitorLog(path)
    log.add("start", {})
    ((first, position),) = read_new(path, 0)
    with path.open("ab") as file:
        file.write(b'{"event": "end", "time": "')
    assert first["event"] == "start"
    assert list(read_new(path, position)) == []
    with path.open("ab") as file:
        file.write(b'1970-01-01T00:00:00Z"}\n')
    ((last, end),) = read_new(path, position)
    assert (last["event"], end) == ("end", path.stat().st_size)
    path.write_bytes(b'{"event": "end", "time": "1970-01-01T00:00:00Z"}\n')
    assert [position for _, position in read_new(path, end)] == [path.stat().st_size]


DAMAGED = {
    b'{"event": "window", "time": "yesterday"}': "yesterday",
    b'{"event": "window", "time": "2026-11-21T10:00:00"}': "time zone",
    b'{"event": "window", "time": 5}': "fromisoformat",
    b'{"event": "window", "time": "1970-01-01T00:00:00Z", "score": Infinity}': "Infinity is no number",
    b'{"event": "window", "time": "1970-01-01T00:00:00Z", "score": 1e400}': "1e400 is no number",
    b"[" * 100_000: "nested too deeply",
    b'{"event": ' + b" " * (1 << 21) + b'"window"}': "more than 1048576 bytes",
    b"[1]": "list indices",
    b"\xff": "utf-8",
}


@pytest.mark.parametrize("line", DAMAGED, ids=DAMAGED.values())
def test_damaged_lines_are_named_and_the_rest_is_read(tmp_path, caplog, line):
    path = tmp_path / "monitor.jsonl"
    MonitorLog(path).add("start", {})
    with path.open("ab") as file:
        file.write(line + b"\n")
    MonitorLog(path).add("end", {})
    assert [event["event"] for event in read_log(path)] == ["start", "end"]
    assert [event and event["event"] for event, _ in read_new(path, 0)] == ["start", None, "end"]
    assert [event["event"] for event, _ in list(read_new(path, path.read_bytes().index(line)))[1:]] == ["end"]
    by_number, again, by_byte = (record.getMessage() for record in caplog.records)
    assert again == by_number
    assert by_number.startswith(f"{path}, line 2: not an event of a monitor (")
    assert DAMAGED[line] in by_number
    assert by_byte.startswith(f"{path}, the line at byte ")


def test_many_damaged_lines_are_not_all_named(tmp_path, caplog):
    (tmp_path / "m.jsonl").write_bytes(b"damaged\n" * 1000)
    assert list(read_log(tmp_path / "m.jsonl")) == []
    assert len(caplog.records) == 6
    assert "line 6: damaged; this line and all further" in caplog.records[-1].getMessage()


def test_no_log_is_an_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        list(read_log(tmp_path / "none"))
    with pytest.raises(InputError, match="cannot be written"):
        MonitorLog(tmp_path / "no" / "folder")
