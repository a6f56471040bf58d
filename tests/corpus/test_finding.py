import logging

import pytest
import soundfile

from audiocodec.corpus import finding
from audiocodec.corpus.finding import check_present, find_recordings
from audiocodec.errors import InputError


def manifest(tmp_path, *lines):
    path = tmp_path / "m.csv"
    path.write_text("\n".join(["path,split,kind,source,speaker", *lines]))
    return str(path)


def test_every_form(tmp_path):
    (tmp_path / "x").mkdir()
    soundfile.write(tmp_path / "x" / "a.wav", [0.0] * 8000, 8000)
    soundfile.write(tmp_path / "x" / "b.wav", [0.0] * 8000, 8000)
    (one,) = find_recordings(manifest(tmp_path, "x/a.wav,valid,speech,c,anna"))
    assert (one.path, one.split, one.source, one.speaker) == (tmp_path / "x" / "a.wav", "valid", "c", "anna")
    assert sorted(one.split for one in find_recordings(str(tmp_path))) == ["train", "valid"]
    assert [one.split for one in find_recordings(str(tmp_path), hold_out=False)] == ["train", "train"]


def test_a_file_counts_once(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        found = find_recordings(manifest(tmp_path, "a.wav,train,,,", "b.wav,train,,,", "a.wav,train,,,"))
    assert [one.path.name for one in found] == ["a.wav", "b.wav"]
    assert "1 lines list a file again" in caplog.text


def test_a_file_in_two_splits_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.wav is in train and in valid; keep one"):
        find_recordings(manifest(tmp_path, "a.wav,train,,,", "a.wav,valid,,,"))


def test_a_speaker_in_two_splits_is_named(tmp_path, caplog):
    lines = ["a.wav,train,,c,anna", "b.wav,valid,,c,anna", "c.wav,valid,,d,anna", "d.wav,test,noise,c,fan",
             "e.wav,train,noise,c,fan"]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        find_recordings(manifest(tmp_path, *lines))
    (record,) = caplog.records
    assert "1 speakers are in several splits" in record.getMessage()
    assert "c/anna (train+valid)" in record.getMessage()


def test_missing_files_are_listed_once(tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "NAMED", 3)
    soundfile.write(tmp_path / "a.wav", [0.0] * 8000, 8000)
    found = find_recordings(manifest(tmp_path, "a.wav,,,,", *(f"gone{n}.wav,,,," for n in range(7))))
    with pytest.raises(InputError) as caught:
        check_present("m.csv", found, tmp_path / "cache")
    text = str(caught.value)
    assert "7 of 8 files are missing" in text
    assert "gone2.wav, ...;" in text
    assert "gone3.wav" not in text
    listed = (tmp_path / "cache" / finding.MISSING_NAME).read_text().splitlines()
    assert listed == [str(tmp_path / f"gone{n}.wav") for n in range(7)]
    assert f"{tmp_path}/cache/missing-recordings.txt" in text
    check_present("m.csv", found[:1], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, [0.0] * 8000, 8000)


def test_a_folder_with_splits(tmp_path):
    make(tmp_path, "train/x/1.wav", "valid/x/2.wav", "test/3.wav", "4.wav")
    found = {r.path.name: (r.split, r.kind, r.source) for r in find_recordings(str(tmp_path))}
    assert found == {
        "1.wav": ("train", "speech", "x"),
        "2.wav": ("valid", "speech", "x"),
        "3.wav": ("test", "speech", ""),
        "4.wav": ("train", "speech", ""),
    }


@pytest.mark.parametrize("count", [1, 2, 3, 200])
def test_a_plain_folder_holds_some_out(tmp_path, count):
    make(tmp_path, *(f"{i // 10}/{i}.wav" for i in range(count)))
    found = find_recordings(str(tmp_path))
    held_out = [r.path for r in found if r.split == "valid"]
    assert len(found) == count
    assert len(held_out) < count
    assert held_out == [r.path for r in find_recordings(str(tmp_path)) if r.split == "valid"]
    assert (len(held_out) >= 1) == (count > 1)
    assert len(held_out) <= max(1, count // 20)
