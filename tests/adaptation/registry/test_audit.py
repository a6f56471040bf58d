import errno
import hashlib
import json
import os

import pytest

from audiocodec.adaptation.registry import audit
from audiocodec.adaptation.registry.audit import AuditLog
from audiocodec.errors import RegistryError

START = 1_700_000_000.0


@pytest.fixture
def log(tmp_path):
    return AuditLog(tmp_path / "log.jsonl", lambda step: None)


def add(log, number=0, seconds=None, **details):
    return log.append(
        "publish",
        "ab" * 32,
        f"{number:064x}",
        details,
        actor="tester",
        seconds=START + number if seconds is None else seconds,
    )


def filled(log, count=3):
    for number in range(count):
        add(log, number, text=f"Straße {number}", value=0.1 * number)
    return log.path.read_bytes()


def test_what_is_appended_is_read(log):
    events = [add(log, number, verdict={"pesq": 0.1}) for number in range(3)]
    assert log.read().events == events
    assert [event.sequence for event in events] == [0, 1, 2]
    assert events[0].time == "2023-11-14T22:13:20.000Z"
    assert events[0].previous == "0" * 64
    assert [event.previous for event in events[1:]] == [event.hash for event in events[:-1]]
    assert events[2].as_json() == json.loads(log.path.read_text().splitlines()[2])


def test_the_hash_is_that_of_the_bytes_before_it(log):
    for line in filled(log).splitlines():
        start, tail = line[: -len(',"hash":"') - 66], line[-66:]
        assert tail == hashlib.sha256(start).hexdigest().encode() + b'"}'
        assert json.loads(line)["hash"] == tail[:-2].decode()


def test_an_empty_log(log):
    assert log.read().events == []


def test_every_cut_of_the_last_line_is_recognized_and_mended(log):
    whole = filled(log)
    before = whole.rfind(b"\n", 0, len(whole) - 1) + 1
    for end in range(before, len(whole)):
        log.path.write_bytes(whole[:end])
        state = log.read()
        # Only the end of line is missing: the event is whole.
        expected = 3 if end == len(whole) - 1 else 2
        assert len(state.events) == expected
        assert state.torn == (whole[before:end] if expected == 2 else b"")
        if end % 9 and end < len(whole) - 2:  # every append waits for the disk
            continue
        event = add(log, 9)
        assert event.sequence == expected
        assert len(log.read().events) == expected + 1
        assert log.read().torn == b""
        torn = expected == 2 and end > before
        assert [note.startswith("removed") for note in event.notes] == [True] * torn
        if torn:
            assert hashlib.sha256(whole[before:end]).hexdigest() in event.notes[0]


def test_every_changed_byte_is_found(log):
    whole = filled(log, 2)
    lines = whole.splitlines(keepends=True)
    for place in range(0, len(whole) - 1, 7):  # the last byte ends the last line
        damaged = bytearray(whole)
        damaged[place] ^= 0x01
        log.path.write_bytes(damaged)
        state = log.examine()
        line = 1 if place < len(lines[0]) else 2
        assert len(state.events) < 2
        assert state.problem is not None, place
        assert f"line {line}" in state.problem
        with pytest.raises(RegistryError, match=f"line {line}"):
            add(log)
        assert log.path.read_bytes() == damaged


@pytest.mark.parametrize("order", [(0, 2), (1, 2), (0, 2, 1), (0, 0, 1, 2)])
def test_lost_moved_and_doubled_lines_are_found(log, order):
    lines = filled(log).splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[number] for number in order))
    with pytest.raises(RegistryError, match="does not follow the line before"):
        log.read()


def test_an_event_of_a_newer_version_is_not_passed_over(log, monkeypatch):
    add(log)
    monkeypatch.setattr(audit, "KINDS", ("refuse",))
    with pytest.raises(RegistryError, match="'publish' is not known"):
        log.read()


def test_a_clock_that_goes_back_is_noted(log):
    add(log, 0)
    event = add(log, 1, seconds=START - 3600)
    assert event.notes == ("the clock went back from 2023-11-14T22:13:20.000Z",)
    assert add(log, 2).notes == ()
    assert [event.sequence for event in log.read().events] == [0, 1, 2]


def test_what_is_no_json_is_refused(log):
    filled(log, 1)
    before = log.path.read_bytes()
    with pytest.raises(RegistryError, match="no JSON"):
        add(log, 1, value=float("nan"))
    with pytest.raises(RegistryError, match="no JSON"):
        add(log, 1, value=object())
    with pytest.raises(RegistryError, match="at most 1048576"):
        add(log, 1, value="x" * (1 << 20))
    assert log.path.read_bytes() == before


@pytest.mark.parametrize("written", [0, 1, 100])
def test_a_full_disk_leaves_the_log_as_it_was(log, monkeypatch, written):
    before = filled(log)
    write, calls = os.write, []

    def fill(descriptor, data):
        calls.append(len(data))
        if len(calls) > 1 or not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:written])

    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(RegistryError, match=r"No space left on device\); free some space"):
        add(log, 3)
    monkeypatch.undo()
    assert log.path.read_bytes() == before
    assert add(log, 3).notes == ()


def test_a_log_too_large_is_not_read(log, monkeypatch):
    filled(log)
    monkeypatch.setattr(audit, "MAX_LOG_BYTES", 100)
    with pytest.raises(RegistryError, match="at most 100 are read"):
        log.read()


def forged(log, old, new):
    """Change a line, and make its hash right again."""
    (line,) = log.path.read_bytes().splitlines()
    start = line[: -len(',"hash":"') - 66].replace(old, new)
    assert old in line
    log.path.write_bytes(start + b',"hash":"' + hashlib.sha256(start).hexdigest().encode() + b'"}\n')


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"sequence":0', b'"sequence":Infinity', "Infinity is no number"),
        (b'"sequence":0', b'"sequence":' + b"9" * 400, "is no number"),
        (b'"time":"2023-11-14T22:13:20.000Z"', b'"time":"yesterday"', "yesterday"),
        (b'"time":"2023-11-14T22:13:20.000Z"', b'"time":"2023-11-14T22:13:20"', "time zone"),
        (b'"value":0.0', b'"value":' + b"[" * 5000 + b"]" * 5000, "nested too deeply"),
        (b'"notes":[]', b'"notes":5', "not iterable"),
        (b'"codebook_id":"00', b'"codebook_id":"../../00', "64 hexadecimal digits"),
    ],
)
def test_lines_that_are_chained_rightly_and_say_nonsense(log, old, new, words):
    filled(log, 1)
    forged(log, old, new)
    with pytest.raises(RegistryError, match=f"line 1: it is not an event .*{words}"):
        log.read()
