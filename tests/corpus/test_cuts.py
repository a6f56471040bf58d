"""Cuts written by Lhotse itself."""

import gzip
import json
import logging
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

from audiocodec.corpus.cuts import is_cuts, read_cuts
from audiocodec.corpus.finding import find_recordings
from audiocodec.errors import InputError, MissingPackageError
from audiocodec.training.data.store import decode


def cut(path, start=0.0, duration=4.0, speaker=None, **custom):
    recording = Recording(path.stem, [AudioSource("file", [0], str(path))], 16000, 64000, 4.0)
    said = [] if speaker is None else [SupervisionSegment("s", path.stem, 0.0, duration, speaker=speaker)]
    return MonoCut(
        f"{path.stem}-{start}", start, duration, 0, said, recording=recording, custom=custom or None
    )


@pytest.fixture
def wav(tmp_path, voice):
    soundfile.write(tmp_path / "a.wav", voice(4.0).T, 16000, subtype="PCM_16")
    return tmp_path / "a.wav"


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz"])
def test_parts_speakers_and_splits(tmp_path, wav, name):
    given = [
        cut(wav, speaker="anna", split="valid", source="corpus"),
        cut(wav, 1.0, 2.5, "bert", split="train"),
        cut(tmp_path / "b.wav", speaker="cleo", split="test", kind="noise"),
    ]
    CutSet.from_cuts(given).to_file(tmp_path / name)
    assert is_cuts(tmp_path / name)
    first, second, third = find_recordings(str(tmp_path / name))
    assert (first.path, first.part, first.speaker, first.split, first.source) == (
        wav, None, "anna", "valid", "corpus",
    )  # fmt: skip
    assert (second.part, second.speaker, second.split, second.kind) == ((1.0, 3.5), "bert", "train", "speech")
    assert (third.split, third.kind) == ("test", "noise")
    decoded = np.concatenate(list(decode(second, 16000)))
    # Lhotse's own reading of the same cut, which rounds nothing.
    theirs = given[1].load_audio()[0]
    np.testing.assert_allclose(decoded / 32767, theirs, atol=1.5 / 32767)


def test_whole_speakers_are_held_out(tmp_path, wav):
    cuts = [cut(wav, n / 10, 0.5, f"speaker{n % 20}") for n in range(35)]
    CutSet.from_cuts(cuts).to_file(tmp_path / "cuts.jsonl")
    found = read_cuts(tmp_path / "cuts.jsonl")
    splits = {(one.speaker, one.split) for one in found}
    assert len(splits) == 20
    assert {split for _, split in splits} == {"train", "valid", "test"}


def test_what_is_no_part_of_a_file_is_left_out(tmp_path, wav, caplog):
    command = cut(wav)
    source = AudioSource("command", [0], f"touch {tmp_path}/ran")
    command.recording = Recording("c", [source], 16000, 64000, 4.0)
    cuts = [
        cut(wav, speaker="a"), command, cut(wav).with_id("p").perturb_speed(1.1),
        cut(wav).with_id("m").pad(6.0), MonoCut("d", 0.0, 4.0, 0),
    ]  # fmt: skip
    CutSet.from_cuts([c.with_id(str(n)) for n, c in enumerate(cuts)]).to_file(tmp_path / "cuts.jsonl")
    with caplog.at_level(logging.WARNING):
        (found,) = read_cuts(tmp_path / "cuts.jsonl")
    assert found.speaker == "a"
    assert "not from one file on disk" in caplog.text
    assert "changed in speed" in caplog.text
    assert "left out 2 cuts: mixed or padded" in caplog.text
    assert not (tmp_path / "ran").exists()


def test_paths_are_relative_to_the_manifest(tmp_path):
    from pathlib import Path

    CutSet.from_cuts([cut(Path("sound/a.wav"))]).to_file(tmp_path / "cuts.jsonl")
    assert read_cuts(tmp_path / "cuts.jsonl")[0].path == tmp_path / "sound" / "a.wav"


@pytest.mark.parametrize(
    "text", ['{"path": "a.wav"}', "[]", "", "{", '"MonoCut"', "[" * 100_000, "path,split\na.wav,train\n"]
)
def test_other_files_are_no_cuts(tmp_path, text):
    (tmp_path / "m.jsonl").write_text(text)
    (tmp_path / "m.jsonl.gz").write_bytes(gzip.compress(text.encode())[:-4])
    assert not is_cuts(tmp_path / "m.jsonl")
    assert not is_cuts(tmp_path / "m.jsonl.gz")
    assert not is_cuts(tmp_path / "gone.jsonl")


def test_damaged_cuts_are_said(tmp_path, wav):
    CutSet.from_cuts([cut(wav)]).to_file(tmp_path / "cuts.jsonl")
    with (tmp_path / "cuts.jsonl").open("a") as file:
        file.write('{"type": "MonoCut", "id": 3}\n')
    with pytest.raises(InputError, match=r"cuts\.jsonl: not the cuts of Lhotse"):
        read_cuts(tmp_path / "cuts.jsonl")


def test_nothing_left(tmp_path, wav):
    CutSet.from_cuts([MonoCut("d", 0.0, 4.0, 0)]).to_file(tmp_path / "cuts.jsonl")
    with pytest.raises(InputError, match="no cut that is a part of a sound file"):
        read_cuts(tmp_path / "cuts.jsonl")


def test_lhotse_is_asked_for(tmp_path, wav, monkeypatch):
    CutSet.from_cuts([cut(wav)]).to_file(tmp_path / "cuts.jsonl")
    monkeypatch.setitem(sys.modules, "lhotse", None)
    with pytest.raises(MissingPackageError, match=r"audiocodec\[data\]"):
        read_cuts(tmp_path / "cuts.jsonl")


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_packed_cuts_that_would_take_all_memory_are_refused(tmp_path, wav, end):
    path = tmp_path / "cuts.jsonl.gz"
    CutSet.from_cuts([cut(wav)]).to_file(path)
    with gzip.open(path, "ab", 1) as file:
        file.write(b" " * (64 << 20) + end)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    with pytest.raises(InputError, match="line 2: too large for cuts"):
        read_cuts(path)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("name", [5, None, "a\0b", "\ud800"])
def test_cuts_of_no_file_are_refused(tmp_path, wav, name):
    CutSet.from_cuts([cut(wav)]).to_file(tmp_path / "cuts.jsonl")
    line = (tmp_path / "cuts.jsonl").read_text().replace(json.dumps(str(wav)), json.dumps(name))
    (tmp_path / "cuts.jsonl").write_text(line)
    with pytest.raises(InputError, match=r"cuts\.jsonl: not the cuts of Lhotse .*no name of a file"):
        read_cuts(tmp_path / "cuts.jsonl")


@pytest.mark.parametrize("given", ["anna", "corpus"])
def test_speakers_and_sources_that_are_no_text_are_refused(tmp_path, wav, given):
    CutSet.from_cuts([cut(wav, speaker="anna", source="corpus")]).to_file(tmp_path / "cuts.jsonl")
    line = (tmp_path / "cuts.jsonl").read_text()
    assert f'"{given}"' in line
    (tmp_path / "cuts.jsonl").write_text(line.replace(f'"{given}"', r'"\ud800"'))
    with pytest.raises(InputError, match=r"cuts\.jsonl: not the cuts of Lhotse .*no text"):
        read_cuts(tmp_path / "cuts.jsonl")
