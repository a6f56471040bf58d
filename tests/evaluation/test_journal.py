import json

import pytest

from audiocodec.errors import InputError
from audiocodec.evaluation.journal import NAME, Journal, row_key


def test_rows_survive(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append("a", {"file": "x", "si_sdr": 1.5})
        assert (tmp_path / NAME).read_bytes().endswith(b"\n")  # on disk before the end
    with Journal(tmp_path) as journal:
        assert journal.rows == {"a": {"file": "x", "si_sdr": 1.5}}
        journal.append("b", {"file": "ü"})
    with Journal(tmp_path) as journal:
        assert list(journal.rows) == ["a", "b"]


@pytest.mark.parametrize(
    "tail", [b'{"key": "b", "ro', b'{"key": "b", "row": {}}garbage', b"[1]\n{}\n", b"\xff\n"]
)
def test_what_was_cut_off_is_left_out_and_harms_nothing(tmp_path, tail):
    with Journal(tmp_path) as journal:
        journal.append("a", {"n": 1})
    with (tmp_path / NAME).open("ab") as file:
        file.write(tail)
    with Journal(tmp_path) as journal:
        assert journal.rows == {"a": {"n": 1}}
        journal.append("c", {"n": 3})
    with Journal(tmp_path) as journal:
        assert journal.rows == {"a": {"n": 1}, "c": {"n": 3}}


def test_only_one_writes_at_a_time(tmp_path):
    with Journal(tmp_path), pytest.raises(InputError, match="another evaluation is writing here"):
        Journal(tmp_path).__enter__()
    with Journal(tmp_path):
        pass


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        Journal(tmp_path / "none").__enter__()


def test_keys_follow_the_facts_alone():
    facts = {"a": [1, 2.5], "b": {"x": None, "y": "z"}}
    assert row_key(facts) == row_key(json.loads(json.dumps(dict(reversed(facts.items())))))
    assert row_key(facts) != row_key({**facts, "a": [1, 2.25]})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"key": "b", "row": {"file": 5}}', "file of the wrong kind"),
        (b'{"key": "b", "row": {"peer": 1}}', "peer of the wrong kind"),
        (b'{"key": "b", "row": {"bytes": 1.5}}', "bytes of the wrong kind"),
        (b'{"key": "b", "row": {"stoi_input": "x"}}', "stoi_input of the wrong kind"),
        (b'{"key": "b", "row": {"errors": null}}', "errors of the wrong kind"),
        (b'{"key": 5, "row": {}}', "key of the wrong kind"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * (2 << 20), "more than 1048576 bytes"),
    ],
)
def test_damaged_lines_are_named_and_computed_again(tmp_path, caplog, line, words):
    with Journal(tmp_path) as journal:
        journal.append("a", {"n": float("inf")})
    with (tmp_path / NAME).open("ab") as file:
        file.write(line + b"\n")
    with Journal(tmp_path) as journal:
        assert journal.rows == {"a": {"n": float("inf")}}
    assert f"{NAME}, line 2: " in caplog.text
    assert words in caplog.text
