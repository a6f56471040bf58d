import json
from pathlib import Path

import numpy as np

import audiocodec
from audiocodec.evaluation.api import DEFAULT_METRICS, cache_folder
from audiocodec.metrics import METRICS


def test_a_table_of_files_conditions_and_bitrates(codec, speech_folder, noise_folder, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "conditions: {'{type}': {each: {type: ['*own']}, effects: [{kind: noise, types: ['{type}']}]}}"
    )
    bitrates = [codec.bitrates[0], codec.bitrates[-1]]
    frame = audiocodec.evaluate(
        codec,
        speech_folder,
        ["clean", "white_0db", str(mine)],
        bitrates,
        metrics=["stoi"],
        noise=noise_folder,
    )
    assert len(frame) == 2 * 4 * 2
    assert frame["condition"].unique().tolist() == ["clean", "white_0db", "hum", "rain"]
    assert frame["error"].isna().all()
    means = frame.groupby(["condition", "nominal_bitrate"])["stoi_clean"].mean()
    assert means["clean", bitrates[1]] > means["white_0db", bitrates[1]]
    assert means["clean", bitrates[1]] > means["clean", bitrates[0]]
    assert np.isnan(frame["pesq_wb_clean"]).all()
    assert set(frame["speaker"]) == {"alice", "bob"}


def test_files_by_their_paths_and_reasons(codec, speech_folder, tmp_path):
    files = [speech_folder / "alice" / "a.wav", tmp_path / "gone.wav"]
    frame = audiocodec.evaluate(codec, files, bitrates=[codec.bitrates[0]], metrics=["si_sdr"])
    assert frame["file"].tolist() == [str(file) for file in files]
    assert frame["error"].isna().tolist() == [True, False]
    assert "no such file" in frame["error"][1]
    assert json.loads(frame["errors"][0]) == {}


def test_recordings_without_clean_originals(codec, speech_folder):
    frame = audiocodec.evaluate(
        codec, speech_folder, bitrates=[codec.bitrates[0]], metrics=["stoi"], has_clean=False
    )
    assert frame["condition"].unique().tolist() == ["as_recorded"]
    assert frame["stoi_input"].notna().all()
    assert frame["stoi_clean"].isna().all()
    assert frame["token_flip_rate"].isna().all()


def test_default_metrics_are_known():
    assert set(DEFAULT_METRICS) <= set(METRICS)


def test_what_can_be_made_again_is_kept_where_the_system_says(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/audiocodec")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "audiocodec"
