import json

import numpy as np
import pytest

from audiocodec.codec import Codec
from audiocodec.errors import InputError
from audiocodec.evaluation.benchmark import plan
from audiocodec.evaluation.coders import ModelCoder
from audiocodec.evaluation.conditions import Condition
from audiocodec.evaluation.recordings import read_recordings
from audiocodec.evaluation.results import describe_run, prepare_folder, tally, write_results
from audiocodec.evaluation.rows import ROWS_NAME, to_frame
from audiocodec.work import Backend


def test_results_are_not_overwritten_unasked(tmp_path):
    folder = tmp_path / "out"
    prepare_folder(folder)
    prepare_folder(folder)  # empty is fine
    for name in ("rows.csv", ROWS_NAME, "notes.txt"):
        (folder / name).write_text("x")
    with pytest.raises(InputError, match="--resume goes on with them, --force replaces them"):
        prepare_folder(folder)
    prepare_folder(folder, resume=True)
    assert (folder / ROWS_NAME).exists()
    prepare_folder(folder, force=True)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used"):
        prepare_folder(tmp_path / "file" / "below")


@pytest.fixture
def run(setup_with, double, speech_folder):
    setup = setup_with(double(), double("bad", "fail"), metrics=("si_sdr", "pesq_wb"))
    benchmark = plan(setup, read_recordings(speech_folder), [Condition("clean")], [1000.0, 2000.0])
    return benchmark, benchmark.run(Backend())


def test_what_was_run_is_described(run):
    benchmark, rows = run
    about = describe_run(benchmark, rows)
    assert (about["files"], about["speakers"], about["seconds"]) == (2, 2, pytest.approx(2.4))
    assert (about["rows"], about["failed_rows"], about["missing"]) == (8, 4, {})
    assert [codec["bitrates"] for codec in about["codecs"]] == [[1000.0, 2000.0]] * 2
    assert [codec["imitates"] for codec in about["codecs"]] == [[], []]  # of other codecs nothing is known
    assert about["conditions"] == [{"name": "clean", "kind": "clean", "group": "clean", "snr_db": None}]
    assert about["environment"]["packages"]["numpy"] == np.__version__
    json.dumps(about, allow_nan=False)


def test_means_for_people(run):
    rows = run[1]
    table = tally(to_frame(rows))
    assert [line[:4] for line in table[:2]] == [("copy", 1000, "clean", 533), ("copy", 2000, "clean", 533)]
    scores = [
        row["pesq_wb_input"] for row in rows if row["codec"] == "copy" and row["nominal_bitrate"] == 1000
    ]
    assert table[0][4] == pytest.approx(np.mean(scores))
    assert table[2][:5] == ("bad", 1000, "clean", None, None)
    assert [line[2] for line in tally(to_frame(rows), by_condition=False)] == ["all"] * 4


def test_scores_that_losses_of_a_model_imitate_are_told(setup_with, speech_folder, codec, tiny_config):
    told = Codec(codec.model, tiny_config, {**codec.metadata, "name": "told", "imitates": "pesq_wb,stoi"})
    setup = setup_with(ModelCoder(told))
    benchmark = plan(setup, read_recordings(speech_folder), [Condition("clean")], [600.0])
    about = describe_run(benchmark, [])
    assert [(one["name"], one["imitates"]) for one in about["codecs"]] == [("told", ["pesq_wb", "stoi"])]


def test_a_page_that_breaks_off_costs_no_results(run, tmp_path, monkeypatch):
    def break_off(*_):
        raise RuntimeError("in the middle")

    benchmark, rows = run
    monkeypatch.setattr("audiocodec.evaluation.report.html.render", break_off)
    with pytest.raises(RuntimeError):
        write_results(tmp_path, to_frame(rows), describe_run(benchmark, rows), ("html",), benchmark)
    assert {"rows.csv", "rows.parquet", "summary.json"} == {
        path.name for path in tmp_path.iterdir() if path.is_file()
    }
