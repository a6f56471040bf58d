import json
from pathlib import Path

import pytest
import soundfile

from audiocodec.audio import manifest
from audiocodec.errors import InputError
from audiocodec.training.data.manifest import Recording, read_manifest, read_recordings


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_and_jsonl_say_the_same(tmp_path):
    expected = [
        Recording(tmp_path / "a b.wav", "train", "speech", "x"),
        Recording(Path("/abs/c.flac"), "valid", "music", ""),
        Recording(tmp_path / "d,e.wav", "train", "speech", ""),
    ]
    csv = write(
        tmp_path / "m.csv",
        "\ufeffpath,split,kind,source,seconds\n"
        'a b.wav,train,speech,x,1.0\n/abs/c.flac,valid,music,,2\n"d,e.wav",,,,\n',
    )
    rows = [
        {"path": "a b.wav", "split": "train", "kind": "speech", "source": "x", "seconds": 1.0},
        {"path": "/abs/c.flac", "split": "valid", "kind": "music"},
        {"path": "d,e.wav", "split": None},
    ]
    jsonl = write(tmp_path / "m.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    assert read_manifest(csv) == expected
    assert read_manifest(jsonl) == expected


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.csv", "file,split\na.wav,train\n", ["line 2", "path"]),
        ("m.csv", 'path\na.wav\n""\n', ["line 3"]),
        ("m.csv", "path\n" + "x" * 200_000, ["CSV"]),
        ("m.csv", b"path\n\xff\xfe\n", ["UTF-8"]),
        ("m.jsonl", '{"path": "a.wav"}\nnot json\n', ["line 2"]),
        ("m.jsonl", '["a.wav"]\n', ["line 1"]),
        ("m.jsonl", '"a.wav"\n', ["line 1"]),
        ("m.jsonl", '{"path": 3}\n', ["line 1"]),
        ("m.jsonl", '{"path": "a\\u0000b"}\n', ["line 1"]),
        ("m.jsonl", '{"file": "a.wav"}\n', ["line 1"]),
        ("m.jsonl", "[" * 100_000 + "\n", ["line 1"]),
    ],
    ids=range(11),
)
def test_hostile_lines_are_named(tmp_path, name, text, words):
    path = write(tmp_path / name, text)
    with pytest.raises(InputError) as caught:
        read_manifest(path)
    assert [word for word in [str(path), *words] if word not in str(caught.value)] == []


def test_missing_and_too_large(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"none\.csv: cannot be read.*CSV or JSONL"):
        read_recordings(tmp_path / "none.csv")
    monkeypatch.setattr(manifest, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="larger than"):
        read_manifest(write(tmp_path / "m.csv", "path\na.wav\nb.wav\n"))


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, [0.0] * 8000, 8000)


def test_a_folder_with_splits(tmp_path):
    make(tmp_path, "train/x/1.wav", "valid/x/2.wav", "test/3.wav", "4.wav")
    found = {r.path.name: (r.split, r.kind, r.source) for r in read_recordings(tmp_path)}
    assert found == {
        "1.wav": ("train", "speech", "x"),
        "2.wav": ("valid", "speech", "x"),
        "3.wav": ("test", "speech", ""),
        "4.wav": ("train", "speech", ""),
    }


@pytest.mark.parametrize("count", [1, 2, 3, 200])
def test_a_plain_folder_holds_some_out(tmp_path, count):
    make(tmp_path, *(f"{i // 10}/{i}.wav" for i in range(count)))
    found = read_recordings(tmp_path)
    held_out = [r.path for r in found if r.split == "valid"]
    assert len(found) == count
    assert len(held_out) < count
    assert held_out == [r.path for r in read_recordings(tmp_path) if r.split == "valid"]
    assert (len(held_out) >= 1) == (count > 1)
    assert len(held_out) <= max(1, count // 20)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no file ending in"):
        read_recordings(tmp_path)
