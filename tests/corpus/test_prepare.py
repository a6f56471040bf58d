import json
import os
from pathlib import Path

import pytest
import soundfile

import audiocodec
from audiocodec.corpus import Recording, read_manifest
from audiocodec.corpus.prepare import MEASURED, ORDER, _Scan, manifest_row, measure_file, relative, write_rows
from audiocodec.errors import InputError

RESULT = dict.fromkeys(MEASURED, 1)


def scan(tmp_path, *files):
    """A scan for m.jsonl, and what it knows of some files."""
    found = _Scan(tmp_path / "m.jsonl")
    return found, found.known([Recording(file.name, file) for file in files])


def note(tmp_path, file, result=RESULT, change=lambda: None):
    found, _ = scan(tmp_path, file)
    change()
    found.journal.append({"file": str(file), "stamp": found._stamps[file], "result": result})
    return found


def test_a_program_calls_it(tmp_path, voice):
    for speaker in range(4):
        (tmp_path / "sound" / f"s{speaker}").mkdir(parents=True)
        soundfile.write(tmp_path / "sound" / f"s{speaker}" / "a.wav", voice(0.6, seed=speaker).T, 16000)
    (tmp_path / "sound" / "s0" / "b.wav").write_text("no sound")
    told, shares = [], []
    result = audiocodec.prepare(
        tmp_path / "sound", tmp_path / "lists" / "m.jsonl", pattern="{speaker}/*.wav", jobs=1,
        on_unusable=told.append, progress=shares.append,
    )  # fmt: skip
    assert [one.path.name for one in result.unusable] == [one.path.name for one in told] == ["b.wav"]
    assert result.unusable_list == tmp_path / "lists" / "m.bad.jsonl"
    listed = read_manifest(result.manifest)
    assert [(one.path, one.split, one.speaker) for one in listed] == [
        (one.path, one.split, one.speaker) for one in result.recordings
    ]
    assert {one.speaker for one in listed} == {"s0", "s1", "s2", "s3"}
    assert (result.summary["files"], shares[-1]) == (4, 1.0)
    with pytest.raises(InputError, match="exists already"):
        audiocodec.prepare(tmp_path / "sound", result.manifest)
    with pytest.raises(InputError, match=r"name it .*m\.jsonl"):
        audiocodec.prepare(tmp_path / "sound", tmp_path / "m.csv")


def test_rows_come_back_as_recordings(tmp_path, voice):
    (tmp_path / "x").mkdir()
    path = tmp_path / "x" / "a.wav"
    soundfile.write(path, voice(1.0).T, 16000)
    recording = Recording("x/a.wav", path, split="valid", speaker="anna", source="c", seconds=1.0)
    rows = [manifest_row(recording, measure_file(path))]
    write_rows(tmp_path / "m.jsonl", rows, overwrite=False)
    assert read_manifest(tmp_path / "m.jsonl") == [recording]
    line = json.loads((tmp_path / "m.jsonl").read_text())
    assert list(line) == [name for name in ORDER if name != "language"]
    assert (line["path"], line["seconds"], line["bytes"]) == ("x/a.wav", 1.0, 32044)
    with pytest.raises(InputError, match="--force"):
        write_rows(tmp_path / "m.jsonl", rows, overwrite=False)


def test_paths_below_the_manifest_are_relative():
    assert relative(Path("/data/a/b.wav"), Path("/data/m.jsonl")) == "a/b.wav"
    assert relative(Path("/data/a/b.wav"), Path("/data/lists/m.jsonl")) == "/data/a/b.wav"


def test_remembers_files_that_did_not_change(tmp_path):
    files = [tmp_path / f"{n}.wav" for n in range(4)]
    for n, file in enumerate(files):
        file.write_bytes(b"12345")
        note(tmp_path, file, RESULT | {"seconds": n})
    files[1].write_bytes(b"123456")
    os.utime(files[2], ns=(1, 1))
    files[3].unlink()
    found, known = scan(tmp_path, *files, tmp_path / "other.wav")
    assert known == {files[0]: RESULT | {"seconds": 0}}
    found.forget()
    assert list(tmp_path.glob(".*")) == []


def test_a_file_written_anew_while_it_was_scanned_is_scanned_again(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"12345")
    note(tmp_path, file, change=lambda: os.utime(file, ns=(1, 1)))
    assert scan(tmp_path, file)[1] == {}


@pytest.mark.parametrize("value", ['"x"', "null", "[1]", "Infinity", "1e400", "true"])
def test_results_that_are_no_numbers_are_named_and_measured_again(tmp_path, caplog, value):
    file = tmp_path / "a.wav"
    file.write_bytes(b"1")
    path, name = note(tmp_path, file).path, sorted(RESULT)[0]
    path.write_text(path.read_text().replace(f'"{name}": 1', f'"{name}": {value}'))
    assert scan(tmp_path, file)[1] == {}
    assert ".m.jsonl.journal, line 1: left out" in caplog.text


def test_results_of_another_version_do_not_count(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"1")
    note(tmp_path, file, {"seconds": 3})
    assert scan(tmp_path, file)[1] == {}
