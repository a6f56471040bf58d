"""`audiocodec prepare`: from folders to a manifest that training takes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from audiocodec.corpus import prepare as preparing
from audiocodec.corpus.manifest import read_manifest


@pytest.fixture
def corpus(tmp_path, voice):
    """Six speakers with three files each in five formats, and files that cannot be used."""
    endings = ["wav", "flac", "ogg", "opus", "mp3"]
    for number in range(18):
        folder = tmp_path / "corpus" / f"s{number // 3}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number}.{endings[number % 5]}"
        options = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
        soundfile.write(path, voice(0.6, 16000, seed=number).T, 16000, **options)
    bad = tmp_path / "corpus" / "s0"
    (bad / "text.wav").write_text("no sound")
    soundfile.write(bad / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(bad / "short.wav", voice(0.1).T, 16000)
    (bad / "empty.mp3").write_bytes(b"")
    return tmp_path / "corpus"


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_corpus(run, corpus, tmp_path):
    result = run("prepare", "corpus", "-o", "m.jsonl", "--speaker-pattern", "{speaker}/*", "--jobs", 1)
    assert result.exit_code == 1  # four files failed
    rows = read(tmp_path / "m.jsonl")
    assert len(rows) == 18
    assert {row["speaker"] for row in rows} == {f"s{n}" for n in range(6)}
    assert {row["source"] for row in rows} == {"corpus"}
    assert len({(row["speaker"], row["split"]) for row in rows}) == 6
    assert {row["split"] for row in rows} == {"train", "valid", "test"}
    assert sum(one.path.is_file() for one in read_manifest(tmp_path / "m.jsonl")) == 18
    bad = {row["path"]: row["problem"] for row in read(tmp_path / "m.bad.jsonl")}
    assert set(bad) == {f"corpus/s0/{name}" for name in ("text.wav", "silent.wav", "short.wav", "empty.mp3")}
    assert "silent" in bad["corpus/s0/silent.wav"]
    assert "less than 0.3 s" in bad["corpus/s0/short.wav"]
    assert all(name.rpartition("/")[2] in result.stderr for name in bad)
    assert "18 recordings" in result.stdout
    assert "m.bad.jsonl" in result.stdout
    assert not list(tmp_path.glob(".*"))


def test_several_processes_write_the_same(run, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "CHUNK", 8)
    for jobs in (1, 2):
        run("prepare", "corpus", "-o", f"{jobs}.jsonl", "--speaker-pattern", "{speaker}/*", "--jobs", jobs)
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    assert (tmp_path / "1.bad.jsonl").read_bytes() == (tmp_path / "2.bad.jsonl").read_bytes()


def test_json(run, corpus, rows):
    printed = rows(run("prepare", "corpus", "-o", "m.jsonl", "--json", "--jobs", 1))
    errors, summary = printed[:-1], printed[-1]
    assert len(errors) == summary["failed"] == 4
    assert summary["summary"] is True
    assert (summary["files"], summary["speakers"], summary["bad"]) == (18, 0, "m.bad.jsonl")
    assert any("no speaker is known for 18 files" in text for text in summary["warnings"])
    assert sum(part["files"] for part in summary["parts"]) == 18


def test_a_clean_corpus_ends_well(run, corpus, tmp_path):
    assert run("prepare", "corpus/s1", "corpus/s2", "corpus/s1", "-o", "m.jsonl", "-q").exit_code == 0
    assert len(read(tmp_path / "m.jsonl")) == 6
    assert {row["source"] for row in read(tmp_path / "m.jsonl")} == {"s1", "s2"}
    assert not (tmp_path / "m.bad.jsonl").exists()


def test_nothing_is_overwritten_unless_asked(run, corpus, tmp_path):
    (tmp_path / "m.jsonl").write_text("mine")
    result = run("prepare", "corpus/s1", "-o", "m.jsonl")
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert (tmp_path / "m.jsonl").read_text() == "mine"
    assert run("prepare", "corpus/s1", "-o", "m.jsonl", "--force").exit_code == 0
    assert len(read(tmp_path / "m.jsonl")) == 3


def test_an_interrupted_scan_goes_on(run, corpus, tmp_path, monkeypatch):
    scanned = []
    real = preparing.measure_file

    def scan(path):
        scanned.append(path.name)
        if len(scanned) == 5:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(preparing, "measure_file", scan)
    monkeypatch.setattr(preparing, "CHUNK", 1)
    assert run("prepare", "corpus/s1", "corpus/s2", "-o", "m.jsonl", "--jobs", 1).exit_code == 130
    assert not (tmp_path / "m.jsonl").exists()
    result = run("prepare", "corpus/s1", "corpus/s2", "-o", "m.jsonl", "--jobs", 1)
    assert result.exit_code == 0
    assert "4 files were already scanned" in result.stdout
    assert len(scanned) == 7
    assert len(read(tmp_path / "m.jsonl")) == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone", "-o", "m.jsonl"], "gone: no such folder"),
        (["corpus", "-o", "m.jsonl", "--valid", "0.9", "--test", "0.2"], "together below 1"),
        (["corpus", "-o", "m.jsonl", "--speaker-pattern", "{speaker}/x/*"], "fits none of"),
        (["corpus", "-o", "m.jsonl", "--speaker-pattern", "*.wav"], "names nothing that is known"),
        (["corpus", "-o", "m.jsonl", "--corpus", "librispeach"], "no such corpus"),
        (["corpus/s0", "-o", "m.jsonl", "--min-seconds", "9"], "can be used; the reasons are in m.bad.jsonl"),
    ],
)
def test_what_is_wrong_is_said(run, corpus, tmp_path, arguments, words):
    result = run("prepare", *arguments, "--jobs", 1)
    assert result.exit_code == 1
    assert words in result.stderr
    assert not (tmp_path / "m.jsonl").exists()


def test_a_published_corpus(run, corpus, tmp_path, voice):
    for subset, speaker in (("train-clean-100", 103), ("dev-clean", 84)):
        folder = tmp_path / "libri" / "LibriSpeech" / subset / str(speaker) / "1240"
        folder.mkdir(parents=True)
        soundfile.write(folder / f"{speaker}-1240-0000.flac", voice(1.0).T, 16000)
    soundfile.write(tmp_path / "libri" / "other.flac", voice(1.0).T, 16000)
    assert run("prepare", "libri", "-o", "m.jsonl", "--corpus", "librispeech").exit_code == 0
    found = {
        row["speaker"]: (row["split"], row["source"], row["language"]) for row in read(tmp_path / "m.jsonl")
    }
    assert found == {"103": ("train", "librispeech", "en"), "84": ("valid", "librispeech", "en")}


@pytest.mark.parametrize("name", ["list.csv", "list.WAV"])
def test_a_manifest_is_not_written_under_the_name_of_another_format(run, speech, tmp_path, name):
    result = run("prepare", ".", "-o", name)
    assert result.exit_code == 2
    assert "list.jsonl" in result.stderr
    assert not (tmp_path / name).exists()
