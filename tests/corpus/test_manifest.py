import json
from pathlib import Path

import pytest
import soundfile

from audiocodec.corpus import manifest
from audiocodec.corpus.manifest import Recording, read_folder, read_lines, read_manifest, read_recordings
from audiocodec.errors import InputError


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_and_jsonl_say_the_same(tmp_path):
    expected = [
        Recording("a b.wav", tmp_path / "a b.wav", split="train", source="x", seconds=1.0),
        Recording("/abs/c.flac", Path("/abs/c.flac"), split="valid", kind="music", seconds=2.0),
        Recording("d,e.wav", tmp_path / "d,e.wav"),
    ]
    csv = write(
        tmp_path / "m.csv",
        "\ufeffpath,split,kind,source,seconds\n"
        'a b.wav,train,speech,x,1.0\n/abs/c.flac,valid,music,,2\n"d,e.wav",,,,\n',
    )
    rows = [
        {"path": "a b.wav", "split": "train", "kind": "speech", "source": "x", "seconds": 1.0},
        {"path": "/abs/c.flac", "split": "valid", "kind": "music", "duration": 2},
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


def test_a_folder_names_splits_and_speakers(tmp_path):
    make(tmp_path, "train/x/1.wav", "valid/x/2.wav", "test/3.wav", "y/z/4.wav")
    assert [(one.name, one.split, one.speaker) for one in read_folder(tmp_path)] == [
        ("test/3.wav", "test", ""),
        ("train/x/1.wav", "train", "x"),
        ("valid/x/2.wav", "valid", "x"),
        ("y/z/4.wav", "", "y"),
    ]


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no file ending in"):
        read_recordings(tmp_path)


def test_lines_have_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("path,speaker\nx.wav,ann\n")
    (tmp_path / "a.jsonl").write_text('{"path": "x.wav", "speaker": "ann"}\n\n')
    assert read_lines(tmp_path / "a.csv") == [(2, {"path": "x.wav", "speaker": "ann"})]
    assert read_lines(tmp_path / "a.jsonl") == [(1, {"path": "x.wav", "speaker": "ann"})]


@pytest.mark.parametrize(
    "text", ['{"file": "x"}', "[1]", "no json", '{"path": 3}', '{"path": " "}', "[" * 9000]
)
def test_a_line_without_a_path_is_named(tmp_path, text):
    (tmp_path / "a.jsonl").write_text('{"path": "x.wav"}\n' + text + "\n")
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: no `path`"):
        read_lines(tmp_path / "a.jsonl")


def test_what_is_no_manifest(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_lines(tmp_path / "b.csv")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_line_without_end_is_named_and_never_held_whole(tmp_path, name):
    start = b'{"path": "a.wav"}\n' if name.endswith("jsonl") else b"path\na.wav\n"
    (tmp_path / name).write_bytes(start + b" " * (1 << 21) + b"\n")
    line = 2 if name.endswith("jsonl") else 3
    with pytest.raises(InputError, match=rf"{name}, line {line}: more than 1048576 bytes"):
        read_lines(tmp_path / name)
    with pytest.raises(InputError, match="line 1: more than"):
        read_lines(Path("/dev/zero"))


def test_names_that_no_file_can_have_are_named(tmp_path):
    for name in ("\\ud800.wav", "a\\u0000.wav", "   "):
        (tmp_path / "a.jsonl").write_text(f'{{"path": "a.wav"}}\n{{"path": "{name}"}}\n')
        with pytest.raises(InputError, match="line 2: no `path`"):
            read_lines(tmp_path / "a.jsonl")


def test_lines_of_old_spreadsheets(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"path,speaker\ra.wav,anna\rb.wav,bert\r")
    assert read_lines(tmp_path / "a.csv") == [
        (2, {"path": "a.wav", "speaker": "anna"}),
        (3, {"path": "b.wav", "speaker": "bert"}),
    ]
