from pathlib import Path

import pytest

from audiocodec.audio.manifest import read_lines
from audiocodec.errors import InputError


def test_csv_and_jsonl_say_the_same(tmp_path):
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
