import csv
import json
import sys

import numpy as np
import pytest

from audiocodec.errors import InputError, MissingPackageError
from audiocodec.evaluation.rows import column_name, columns, read_rows, require_pandas, to_frame, write_rows
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
    assert read_rows(tmp_path / "rows.parquet")["file"][0] == r"caf\udce9.wav"


@pytest.mark.parametrize("content", [b"", b"PAR1" * 10, b"x" * 1000])
def test_a_table_that_is_none(tmp_path, content):
    (tmp_path / "rows.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"rows\.parquet: no table in Parquet"):
        read_rows(tmp_path / "rows.parquet")


def test_what_is_written_comes_back(tmp_path):
    frame = to_frame(ROWS)
    write_rows(frame, tmp_path)
    again = read_rows(tmp_path / "rows.parquet")
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
