import numpy as np
import pytest

from audiocodec.evaluation.benchmark import plan
from audiocodec.evaluation.conditions import Condition
from audiocodec.evaluation.recordings import read_recordings
from audiocodec.evaluation.report.examples import examples, find_worst, recoder
from audiocodec.evaluation.rows import to_frame
from audiocodec.evaluation.tasks import score_unit


def test_the_worst_are_worse_than_others_of_their_kind(made_rows):
    def spoil(row):
        if row["codec"] == "model" and (row["file"], row["condition"]) == ("s2_1.wav", "hum_20db"):
            row["pesq_wb_input"] -= 1 if row["nominal_bitrate"] == 4000 else 0

    rows = made_rows(spoil)
    found = find_worst(rows)
    first = found[0]
    assert (first.file, first.condition, first.nominal_bitrate) == ("s2_1.wav", "hum_20db", 4000.0)
    same = rows[
        (rows["condition"] == "hum_20db") & (rows["codec"] == "model") & (rows["nominal_bitrate"] == 4000)
    ]
    assert first.mean == pytest.approx(same["pesq_wb_input"].mean())
    assert first.value == pytest.approx(same["pesq_wb_input"].min())
    # hum at 0 dB or clean speech would be the speaker s7, whose files come after one another
    assert len({one.condition for one in found}) == len(found) == 3
    assert len({one.file for one in found}) == 3
    assert [against[:2] for against in first.against] == [("late", 4000.0), ("far", 16000.0)]


def test_peers_are_shown_when_there_are_no_models(made_rows):
    rows = made_rows()
    assert {one.codec for one in find_worst(rows[rows["peer"]])} <= {"late", "far"}


def test_without_scores_there_is_no_worst(made_rows):
    rows = made_rows().assign(pesq_wb_input=np.nan)
    assert find_worst(rows) == []


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
    (example,) = examples(rows, recoder(benchmark.setup, benchmark.units))
    assert example.row.file == "bob/b.wav"
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
    assert list(examples(rows, recoder(benchmark.setup, benchmark.units))) == []
