import json

import numpy as np
import pytest

from audiocodec.evaluation.summary import summarize
from audiocodec.storage import plain


def find(entries, **wanted):
    (entry,) = [one for one in entries if all(one[name] == value for name, value in wanted.items())]
    return entry


@pytest.fixture
def summary(made_rows):
    return summarize(made_rows(), resamples=400, pesq_threshold=2.0, pesq_drop=0.3)


def test_means_are_those_of_pandas(made_rows, summary):
    rows = made_rows()
    chosen = rows[(rows["codec"] == "late") & (rows["nominal_bitrate"] == 8000)]
    for scope, part in (
        ("all", chosen),
        ("degraded", chosen[chosen["condition"] != "clean"]),
        ("hum_0db", chosen[chosen["condition"] == "hum_0db"]),
    ):
        entry = find(summary["means"], scope=scope, codec="late", nominal_bitrate=8000.0)
        score = entry["scores"]["pesq_wb_clean"]
        assert score["value"] == pytest.approx(part["pesq_wb_clean"].mean())
        assert score["low"] < score["value"] < score["high"]
        assert (score["n"], score["speakers"], entry["rows"], entry["failed"]) == (len(part), 8, len(part), 0)
    assert "si_sdr" not in summary["scores"]
    assert summary["about"]["speakers"] == 8
    assert summary["codecs"]["far"] == {
        "peer": True,
        "points": [
            {"nominal_bitrate": rate, "bitrate": rate, "nominal_bits": False} for rate in (16000.0, 32000.0)
        ],
    }


def test_differences_are_paired(summary):
    entry = find(
        summary["differences"], scope="all", score="pesq_wb_input", codec="model",
        nominal_bitrate=4000.0, against="late", against_bitrate=4000.0,
    )  # fmt: skip
    assert entry["nearest"]
    # speakers differ by up to 0.7, their differences not at all
    assert (entry["value"], entry["low"], entry["high"]) == tuple(pytest.approx(1) for _ in range(3))
    single = [one for one in summary["differences"] if one["scope"] == "hum_0db"]
    assert all(one["nearest"] for one in single)


def test_a_pair_with_a_failure_is_left_out(made_rows):
    def fail(row):
        if row["codec"] == "late" and row["file"] == "s7_0.wav":
            del row["pesq_wb_input"], row["pesq_wb_clean"]
            row["error"] = "crashed"

    summary = summarize(made_rows(fail), resamples=100)
    entry = find(
        summary["differences"], scope="clean", score="pesq_wb_input", codec="model",
        nominal_bitrate=4000.0, against="late", against_bitrate=4000.0,
    )  # fmt: skip
    assert entry["n"] == 15
    assert entry["value"] == pytest.approx(1)
    assert find(summary["means"], scope="clean", codec="late", nominal_bitrate=4000.0)["failed"] == 1
    assert summary["about"]["failed_rows"] == 9
    assert {one["condition"]: one["rows"] for one in summary["failures"]} == dict.fromkeys(
        ("clean", "hum_20db", "hum_0db"), 3
    )
    assert summary["failures"][0]["reason"] == "crashed"


def test_bits_for_equal_quality(summary):
    entry = find(
        summary["bitrate_changes"], scope="degraded", score="pesq_wb_input", codec="model", against="late"
    )
    assert [entry[name] for name in ("percent", "low", "high")] == pytest.approx([-50] * 3)
    assert entry["overlap"] == pytest.approx(1)
    far = find(summary["bitrate_changes"], scope="clean", score="pesq_wb_input", codec="model", against="far")
    assert far["reason"].startswith("its lowest bitrate is better")
    assert far["at_most"] == pytest.approx(100 * (2 / 32 - 1))


def test_lower_may_be_better(made_rows):
    def turn(row):
        row["mel_distance"] = 5 - row["pesq_wb_input"]

    summary = summarize(made_rows(turn), resamples=50)
    for score in ("pesq_wb_input", "mel_distance"):
        entry = find(summary["bitrate_changes"], scope="all", score=score, codec="model", against="late")
        assert entry["percent"] == pytest.approx(-50)


def test_noises_are_taken_together_by_their_snr(made_rows):
    def other(row):
        if row["snr_db"] is not None:
            row["file"], row["condition"], row["group"] = row["file"], "hiss_" + row["condition"][4:], "hiss"
            row["pesq_wb_input"] -= 0.5

    def room(row):
        row["condition"], row["group"], row["snr_db"] = "room_noise", "room_noise", 20.0

    import pandas as pd

    one_each = (("hum_20db", 20.0),)
    rows = pd.concat(
        [made_rows(), made_rows(other, (("hum_20db", 20.0), ("hum_0db", 0.0))), made_rows(room, one_each)]
    )
    summary = summarize(rows, resamples=50)
    scopes = {entry["scope"] for entry in summary["means"]}
    assert {"noises at 20 dB", "noises at 0 dB"} < scopes
    found = {
        scope: find(summary["means"], scope=scope, codec="model", nominal_bitrate=4000.0)["scores"][
            "pesq_wb_input"
        ]
        for scope in ("noises at 20 dB", "hum_20db", "hiss_20db")
    }
    assert found["noises at 20 dB"]["n"] == 32  # not the room, which has no curve
    assert found["noises at 20 dB"]["value"] == pytest.approx(found["hum_20db"]["value"] - 0.25)
    assert "noises at 20 dB" not in {entry["scope"] for entry in summarize(made_rows(), resamples=5)["means"]}


def test_bits_that_were_not_counted_are_told(made_rows):
    def assume(row):
        row["nominal_bits"] = row["codec"] == "late"

    codecs = summarize(made_rows(assume), resamples=5)["codecs"]
    assert {name: {point["nominal_bits"] for point in one["points"]} for name, one in codecs.items()} == {
        "model": {False}, "late": {True}, "far": {False}
    }  # fmt: skip


def test_where_pesq_falls(summary):
    def falls(codec, bitrate):
        return find(
            summary["degradation"], group="hum", score="pesq_wb_input", codec=codec, nominal_bitrate=bitrate
        )

    mean = 1 - 0.35 - 0.005  # of speakers and takes, at 1 kbit/s
    entry = falls("model", 4000.0)
    assert [point["snr_db"] for point in entry["points"]] == [20.0, 0.0]
    assert entry["points"][1]["value"] == pytest.approx(mean + 2 - 0.7)
    # from mean + 1.9 at 20 dB to mean + 1.3 at 0 dB; 0.3 below clean speech is mean + 1.7
    assert entry["below_threshold"]["snr_db"] == pytest.approx(20 * (2 - (mean + 1.3)) / 0.6)
    assert entry["below_threshold"]["low"] == "never"  # of some resamples the mean is 2 at 0 dB still
    assert entry["below_threshold"]["high"] > entry["below_threshold"]["snr_db"]
    assert [entry["below_clean"][name] for name in ("snr_db", "low", "high")] == pytest.approx([40 / 3] * 3)
    assert falls("model", 8000.0)["below_threshold"] == {"snr_db": "never", "low": "never", "high": "never"}
    assert falls("far", 16000.0)["below_threshold"]["snr_db"] == "always"


def test_languages_and_missing_scores(made_rows):
    def lose(row):
        if row["codec"] == "far":
            del row["pesq_wb_clean"]
            row["errors"] = {"pesq_wb_clean": "too short"}

    summary = summarize(made_rows(lose), resamples=50)
    english = find(summary["languages"], language="en", codec="model", nominal_bitrate=2000.0)
    assert english["scores"]["pesq_wb_input"]["n"] == 6
    assert np.isnan(english["scores"]["pesq_wb_input"]["low"])  # one speaker
    assert summary["missing"] == [
        {"codec": "far", "column": "pesq_wb_clean", "reason": "too short", "rows": 96}
    ]
    entry = find(summary["bitrate_changes"], scope="all", score="pesq_wb_clean", codec="model", against="far")
    assert entry["reason"] == "scores are missing at one of the other's bitrates"


def test_all_rows_failed(made_rows):
    def fail(row):
        for name in (
            "pesq_wb_input",
            "pesq_wb_clean",
            "bitrate",
            "payload_bitrate",
            "encode_rtf",
            "decode_rtf",
        ):
            del row[name]
        row["error"] = "no"

    summary = summarize(made_rows(fail), resamples=10)
    assert summary["scores"] == {}
    assert summary["about"]["failed_rows"] == summary["about"]["rows"] == 384


def test_it_is_json_and_the_seed_decides(made_rows):
    rows = made_rows()
    first, again, other = (json.dumps(plain(summarize(rows, resamples=50, seed=seed))) for seed in (1, 1, 2))
    assert first == again != other
