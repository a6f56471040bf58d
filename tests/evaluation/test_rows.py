import csv
import json
import sys

import numpy as np
import pandas as pd
import pytest

from audiocodec.errors import InputError, MissingPackageError
from audiocodec.evaluation.rows import (
    ROWS_NAME,
    column_name,
    columns,
    open_rows,
    require_pandas,
    row_key,
    to_frame,
    write_rows,
)
from audiocodec.metrics import METRICS

FIXED = {
    "file",
    "condition",
    "kind",
    "snr_db",
    "model",
    "codebook",
    "bitrate",
    "pesq_wb_input",
    "pesq_wb_clean",
    "stoi_input",
    "stoi_clean",
    "si_sdr",
    "mel_distance",
    "token_flip_rate",
    "perplexity",
    "usage",
    "error",
}


def test_names_that_scripts_rely_on_are_there_whatever_is_scored():
    names = [column.name for column in columns()]
    assert set(names) >= FIXED
    assert len(names) == len(set(names))
    assert names[-2:] == ["error", "errors"]


def test_every_metric_has_columns_of_its_own():
    names = [column.name for column in columns(METRICS.values())]
    assert len(names) == len(set(names))
    assert {column_name(metric, "input") for metric in METRICS.values()} <= set(names)


@pytest.mark.parametrize(
    ("metric", "reference", "name"),
    [
        ("pesq_wb", "input", "pesq_wb_input"),
        ("si_sdr", "input", "si_sdr"),
        ("si_sdr", "clean", "si_sdr_clean"),
        ("mel_distance", "input", "mel_distance"),
        ("stoi", "uncoded", "stoi_uncoded"),
        ("dnsmos", "input", "dnsmos"),
    ],
)
def test_the_reference_is_in_the_name(metric, reference, name):
    assert column_name(METRICS[metric], reference) == name


ROWS = [
    {"file": "a", "seconds": 1.5, "bytes": 10, "peer": False, "usage_by_stage": [0.25, 0.5], "errors": {}},
    {"file": "b", "error": 'broken, "quoted"', "errors": {"stoi_clean": "too short"}},
]


def test_names_that_are_no_text_have_a_row(tmp_path):
    frame = to_frame([{"file": b"caf\xe9.wav".decode(errors="surrogateescape")}])
    write_rows(frame, tmp_path)
    assert pd.read_parquet(tmp_path / "rows.parquet")["file"][0] == r"caf\udce9.wav"


def test_what_is_written_comes_back(tmp_path):
    frame = to_frame(ROWS)
    write_rows(frame, tmp_path)
    again = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(again.columns) == list(frame.columns)
    assert again["error"].isna().tolist() == [True, False]
    assert again["bytes"][0] == 10
    assert again["bytes"].isna()[1]
    assert np.isnan(again["pesq_wb_clean"]).all()
    assert list(again["usage_by_stage"][0]) == [0.25, 0.5]
    assert json.loads(again["errors"][1]) == {"stoi_clean": "too short"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "rows.parquet"]


def test_the_csv_holds_the_same(tmp_path):
    write_rows(to_frame(ROWS), tmp_path)
    with (tmp_path / "rows.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert json.loads(first["usage_by_stage"]) == [0.25, 0.5]
    assert (first["seconds"], first["error"]) == ("1.5", "")
    assert second["error"] == ROWS[1]["error"]


def test_types_do_not_depend_on_the_rows():
    assert (to_frame(ROWS).dtypes == to_frame([]).dtypes).all()


def test_without_pandas_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackageError, match=r"audiocodec\[evaluate\]"):
        require_pandas()


def rows_in(folder):
    with open_rows(folder) as (rows, _):
        return rows


def test_rows_survive(tmp_path):
    with open_rows(tmp_path) as (_, append):
        append("a", {"file": "x", "si_sdr": 1.5})
        assert (tmp_path / ROWS_NAME).read_bytes().endswith(b"\n")  # on disk before the end
    with open_rows(tmp_path) as (rows, append):
        assert rows == {"a": {"file": "x", "si_sdr": 1.5}}
        append("b", {"file": "ü"})
    assert list(rows_in(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize(
    "tail", [b'{"key": "b", "ro', b'{"key": "b", "row": {}}garbage', b"[1]\n{}\n", b"\xff\n"]
)
def test_what_was_cut_off_is_left_out_and_harms_nothing(tmp_path, tail):
    with open_rows(tmp_path) as (_, append):
        append("a", {"n": 1})
    with (tmp_path / ROWS_NAME).open("ab") as file:
        file.write(tail)
    with open_rows(tmp_path) as (rows, append):
        assert rows == {"a": {"n": 1}}
        append("c", {"n": 3})
    assert rows_in(tmp_path) == {"a": {"n": 1}, "c": {"n": 3}}


def test_only_one_writes_at_a_time(tmp_path):
    with open_rows(tmp_path), pytest.raises(InputError, match="another evaluation is writing here"):
        rows_in(tmp_path)
    assert rows_in(tmp_path) == {}


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        rows_in(tmp_path / "none")


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
    with open_rows(tmp_path) as (_, append):
        append("a", {"n": float("inf")})
    with (tmp_path / ROWS_NAME).open("ab") as file:
        file.write(line + b"\n")
    assert rows_in(tmp_path) == {"a": {"n": float("inf")}}
    assert f"{ROWS_NAME}, line 2: " in caplog.text
    assert words in caplog.text
