import numpy as np
import pytest

from audiocodec.evaluation.benchmark import plan
from audiocodec.evaluation.conditions import Condition
from audiocodec.evaluation.recordings import read_recordings
from audiocodec.evaluation.report.examples import examples, find_worst, nearest_rows
from audiocodec.evaluation.rows import to_frame
from audiocodec.evaluation.tasks import score_unit


def test_the_worst_are_worse_than_others_of_their_kind(made_rows):
    def spoil(row):
        if row["codec"] == "model" and (row["file"], row["condition"]) == ("s2_1.wav", "hum_20db"):
            row["pesq_wb_input"] -= 1 if row["nominal_bitrate"] == 4000 else 0

    rows = made_rows(spoil)
    worst = find_worst(rows, "pesq_wb_input")
    first = next(worst.itertuples())
    assert (first.file, first.condition, first.nominal_bitrate) == ("s2_1.wav", "hum_20db", 4000.0)
    same = rows[
        (rows["condition"] == "hum_20db") & (rows["codec"] == "model") & (rows["nominal_bitrate"] == 4000)
    ]
    assert first.mean == pytest.approx(same["pesq_wb_input"].mean())
    assert first.pesq_wb_input == pytest.approx(same["pesq_wb_input"].min())
    # hum at 0 dB or clean speech would be the speaker s7, whose files come after one another
    assert worst["condition"].nunique() == worst["file"].nunique() == len(worst) == 3
    nearest = nearest_rows(rows, "pesq_wb_input", first)
    assert list(nearest[["codec", "nominal_bitrate"]].itertuples(index=False, name=None)) == [
        ("late", 4000.0),
        ("far", 16000.0),
    ]


def test_peers_are_shown_when_there_are_no_models(made_rows):
    rows = made_rows()
    assert set(find_worst(rows[rows["peer"]], "pesq_wb_input")["codec"]) <= {"late", "far"}


def test_without_scores_there_is_no_worst(made_rows, setup_with):
    rows = made_rows().assign(pesq_wb_input=np.nan)
    assert list(examples(rows, setup_with(), [])) == []


@pytest.fixture
def run(setup_with, double, speech_folder):
    setup = setup_with(double(), double("other"), metrics=("stoi",))
    benchmark = plan(setup, read_recordings(speech_folder), [Condition("clean")], [1000.0])
    rows = [row for unit in benchmark.units for row in score_unit(setup, unit)]
    for row in rows:
        row["peer"] = row["codec"] != "copy"
        row["stoi_input"] -= 0.1 * row["file"].startswith("bob")
    return benchmark, to_frame(rows)


def test_the_worst_are_done_again(run):
    benchmark, rows = run
    (example,) = examples(rows, benchmark.setup, benchmark.units)
    assert example.title.startswith("Clean: copy at 0.53 kbit/s")
    assert example.lead.startswith("bob/b.wav · STOI 0.")
    assert [sound.title for sound in example.sounds] == [
        "What went in",
        "copy, 0.53 kbit/s",
        "other, 0.53 kbit/s",
    ]
    heard, decoded, other = (sound.wav for sound in example.sounds)
    assert heard.shape == decoded.shape
    np.testing.assert_array_equal(decoded, other)
    assert 0 < np.abs(decoded - heard).max() < 0.1
    assert example.sounds[1].note.startswith("STOI 0.")


def test_what_has_gone_since_is_left_out(run, speech_folder):
    benchmark, rows = run
    (speech_folder / "bob" / "b.wav").unlink()
    assert list(examples(rows, benchmark.setup, benchmark.units)) == []
