import json
import os

import pytest

from audiocodec.training.data.scanning.journal import NAMES, Journal

RESULT = dict.fromkeys(NAMES, 1)


def test_remembers_files_that_did_not_change(tmp_path):
    files = [tmp_path / f"{n}.wav" for n in range(3)]
    for file in files:
        file.write_bytes(b"12345")
    with Journal(tmp_path / "m.jsonl") as journal:
        for n, file in enumerate(files):
            journal.note(file, RESULT | {"seconds": n})
    files[1].write_bytes(b"123456")
    os.utime(files[2], ns=(1, 1))
    again = Journal(tmp_path / "m.jsonl")
    assert again.find(files[0]) == RESULT | {"seconds": 0}
    assert again.find(files[1]) is None
    assert again.find(files[2]) is None
    assert again.find(tmp_path / "other.wav") is None
    files[0].unlink()
    assert again.find(files[0]) is None
    again.done()
    assert list(tmp_path.glob(".*")) == []


def test_a_file_written_anew_while_it_was_scanned_is_scanned_again(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"12345")
    with Journal(tmp_path / "m.jsonl") as journal:
        assert journal.find(file) is None
        os.utime(file, ns=(1, 1))
        journal.note(file, RESULT)
    assert Journal(tmp_path / "m.jsonl").find(file) is None


def test_what_was_cut_off_or_is_of_another_version_does_not_count(tmp_path):
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"1")
    with Journal(tmp_path / "m.jsonl") as journal:
        journal.note(tmp_path / "a.wav", RESULT)
    path = tmp_path / ".m.jsonl.journal"
    other = json.loads(path.read_text()) | {"file": str(tmp_path / "b.wav"), "result": {"seconds": 3}}
    path.write_text(f"{path.read_text()}[]\n3\n{json.dumps(other)}\n{path.read_text().strip()[:50]}")
    with Journal(tmp_path / "m.jsonl") as journal:
        assert journal.find(tmp_path / "a.wav") == RESULT
        assert journal.find(tmp_path / "b.wav") is None
        journal.note(tmp_path / "b.wav", RESULT)
    assert Journal(tmp_path / "m.jsonl").find(tmp_path / "b.wav") == RESULT


@pytest.mark.parametrize("value", ['"x"', "null", "[1]", "Infinity", "1e400", "true"])
def test_results_that_are_no_numbers_are_named_and_measured_again(tmp_path, caplog, value):
    (tmp_path / "a.wav").write_bytes(b"1")
    with Journal(tmp_path / "m.jsonl") as journal:
        journal.note(tmp_path / "a.wav", RESULT)
    path = tmp_path / ".m.jsonl.journal"
    name = sorted(RESULT)[0]
    path.write_text(path.read_text().replace(f'"{name}": {json.dumps(RESULT[name])}', f'"{name}": {value}'))
    assert Journal(tmp_path / "m.jsonl").find(tmp_path / "a.wav") is None
    assert ".m.jsonl.journal, line 2: no result of a scan" in caplog.text
