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
