import pytest

from audiocodec.adaptation.watch import WatchLog, read_log
from audiocodec.adaptation.watch.log import read_new
from audiocodec.errors import InputError


def test_lines_survive_what_is_half_written(tmp_path):
    path = tmp_path / "monitor.jsonl"
    WatchLog(path, clock=lambda: 0.0).start({"a": float("nan")})
    with path.open("ab") as file:
        file.write(b'{"event": "win')
    WatchLog(path, clock=lambda: 1.5).end({"b": 1})
    events = list(read_log(path))
    assert [event["event"] for event in events] == ["start", "end"]
    assert events[0]["a"] is None
    assert events[1]["time"] == "1970-01-01T00:00:01.500+00:00"


def test_reading_on(tmp_path):
    path = tmp_path / "monitor.jsonl"
    log = WatchLog(path)
    log.start({})
    first, position = read_new(path, 0)
    with path.open("ab") as file:
        file.write(b'{"event": "end", "time": "')
    nothing, same = read_new(path, position)
    assert (len(first), nothing, same) == (1, [], position)
    path.write_bytes(b"")
    assert read_new(path, position) == ([], 0)


def test_no_log_is_an_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        list(read_log(tmp_path / "none"))
    with pytest.raises(InputError, match="cannot be written"):
        WatchLog(tmp_path / "no" / "folder")
