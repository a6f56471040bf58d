import json
from pathlib import Path

import pytest

from audiocodec.corpus import Recording
from audiocodec.errors import InputError
from audiocodec.evaluation.recordings import as_recordings, choose, open_sources, read_recordings

LINES = """path,split,kind,source,speaker,language
s/a.flac,test,speech,lab,ann,en
s/b.flac,test,speech,lab,ben,de
s/c.flac,train,speech,lab,cid,en
n/d.flac,test,noise,lab,noise_city,
r/e.flac,train,rir,lab,rir_office,
"""


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_text(LINES)
    return path


def test_a_manifest_says_who_speaks_what(manifest):
    first, second = read_recordings(manifest, "test")
    assert first == Recording(
        "s/a.flac", manifest.parent / "s/a.flac", split="test", speaker="ann", language="en", source="lab"
    )
    assert (second.speaker, second.language) == ("ben", "de")


def test_without_a_split_all_speech_is_taken(manifest):
    assert [one.name for one in read_recordings(manifest)] == ["s/a.flac", "s/b.flac", "s/c.flac"]


def test_a_manifest_without_splits_is_taken_whole(tmp_path):
    path = tmp_path / "list.jsonl"
    path.write_text(json.dumps({"path": "x.wav"}) + "\n")
    assert [one.name for one in read_recordings(path, "test")] == ["x.wav"]


def test_a_split_that_is_not_there(manifest):
    with pytest.raises(InputError, match=r"no speech of split 'tset'; it has test, train"):
        read_recordings(manifest, "tset")


def test_a_folder_names_speakers_and_splits(speech_folder):
    (speech_folder / "alice").rename(speech_folder / "test")
    assert [(one.name, one.speaker) for one in read_recordings(speech_folder)] == [
        ("bob/b.wav", "bob"),
        ("test/a.wav", ""),
    ]
    assert [one.name for one in read_recordings(speech_folder, "test")] == ["test/a.wav"]


def many():
    return [
        Recording(f"{source}/{speaker}/{number}", Path("x"), speaker=f"{source}{speaker}", source=source)
        for source in ("big", "small")
        for speaker in range(3 if source == "big" else 1)
        for number in range(5)
    ]


def test_a_limit_takes_everybody_once_before_anybody_twice():
    assert sorted(one.source for one in choose(many(), 2)) == ["big", "small"]
    assert len({one.speaker for one in choose(many(), 4)}) == 4
    assert sorted(one.speaker for one in choose(many(), 6)).count("small0") == 2
    assert set(choose(many(), 6)) < set(choose(many(), 9))


def test_a_limit_always_takes_the_same_and_keeps_the_order():
    recordings = many()
    chosen = choose(recordings, 7)
    assert set(chosen) == set(choose(recordings[::-1], 7))
    assert chosen == [one for one in recordings if one in chosen]
    assert choose(recordings, 100) == recordings


def test_sources_of_a_manifest_are_of_its_split(manifest, monkeypatch):
    monkeypatch.setattr("audiocodec.effects.sources.audio.info", lambda path: Seconds())
    sources = open_sources(manifest, "test")
    assert [(clip.kind, clip.name) for clip in sources.recordings] == [
        ("noise", "n/d.flac"),
        ("speech", "s/a.flac"),
        ("speech", "s/b.flac"),
    ]
    assert sources.types("noise") == ["street"]


def test_own_noise_takes_the_place_of_the_manifests(manifest, noise_folder, monkeypatch):
    monkeypatch.setattr("audiocodec.effects.sources.audio.info", lambda path: Seconds())
    sources = open_sources(manifest, "test", folders=[("noise", noise_folder)])
    assert sources.types("noise") == ["hum", "rain"]
    assert len(sources.find("speech")) == 2


def test_a_recording_that_cannot_be_read_does_not_stop_the_others(speech_folder):
    (speech_folder / "alice" / "a.wav").write_bytes(b"no sound")
    sources = open_sources(speech_folder, recordings=read_recordings(speech_folder))
    assert [clip.speaker for clip in sources.find("speech")] == ["bob"]


def test_files_by_their_paths():
    assert as_recordings(["x/y.wav"]) == [Recording("x/y.wav", Path("x/y.wav"))]


class Seconds:
    seconds = 1.0
