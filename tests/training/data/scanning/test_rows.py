import json
from pathlib import Path

import pytest
import soundfile

from audiocodec.errors import InputError
from audiocodec.training.data.manifest import read_manifest
from audiocodec.training.data.scanning.rows import ORDER, relative, scan, with_splits, write_rows


def row(path, speaker="", split="", source="c"):
    return {
        "path": path,
        "speaker": speaker,
        "split": split,
        "source": source,
        "kind": "speech",
        "language": "",
    }


def test_rows_come_back_as_recordings(tmp_path, voice):
    (tmp_path / "x").mkdir()
    soundfile.write(tmp_path / "x" / "a.wav", voice(1.0).T, 16000)
    full = {**row(str(tmp_path / "x" / "a.wav"), "anna", "valid"), **scan(tmp_path / "x" / "a.wav")}
    write_rows(tmp_path / "m.jsonl", [full], force=False)
    (found,) = read_manifest(tmp_path / "m.jsonl")
    assert (found.path, found.split, found.kind) == (tmp_path / "x" / "a.wav", "valid", "speech")
    assert (found.source, found.speaker) == ("c", "anna")
    line = json.loads((tmp_path / "m.jsonl").read_text())
    assert list(line) == [name for name in ORDER if name != "language"]
    assert (line["path"], line["seconds"], line["bytes"]) == ("x/a.wav", 1.0, 32044)
    with pytest.raises(InputError, match="--force"):
        write_rows(tmp_path / "m.jsonl", [full], force=False)


def test_paths_below_the_manifest_are_relative():
    assert relative(Path("/data/a/b.wav"), Path("/data/m.jsonl")) == "a/b.wav"
    assert relative(Path("/data/a/b.wav"), Path("/data/lists/m.jsonl")) == "/data/a/b.wav"


def test_no_speaker_crosses_splits():
    rows = [row(f"/d/{speaker}/{n}.wav", str(speaker)) for speaker in range(40) for n in range(5)]
    found = with_splits(rows, 0.1, 0.1)
    splits = {}
    for one in found:
        splits.setdefault(one["speaker"], set()).add(one["split"])
    assert all(len(one) == 1 for one in splits.values())
    assert {next(iter(one)) for one in splits.values()} == {"train", "valid", "test"}
    moved = with_splits([{**one, "path": f"/elsewhere{one['path']}"} for one in rows], 0.1, 0.1)
    assert [one["split"] for one in moved] == [one["split"] for one in found]


def test_files_of_unknown_speakers_are_drawn_one_by_one():
    rows = [row(f"/d/x/{n}.wav") for n in range(400)]
    found = [one["split"] for one in with_splits(rows, 0.1, 0.1)]
    assert 15 <= found.count("valid") <= 70
    moved = with_splits([{**one, "path": f"/elsewhere{one['path']}"} for one in rows], 0.1, 0.1)
    assert [one["split"] for one in moved] == found


def test_splits_that_are_named_stay():
    rows = [row("/d/1.wav", "a", "test"), row("/d/2.wav", "a"), row("/d/3.wav", "b", "train")]
    assert [one["split"] for one in with_splits(rows, 0.5, 0.4)] == ["test", "test", "train"]
