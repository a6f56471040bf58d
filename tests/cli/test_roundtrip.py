import numpy as np
import pytest
import soundfile

from audiocodec.checkpoint import load_model, save_model

FIELDS = [
    "file", "seconds", "sample_rate", "model", "codebook", "num_quantizers", "nominal_bitrate", "bytes",
    "bitrate", "pesq_wb", "stoi", "encode_rtf", "decode_rtf",
]  # fmt: skip


@pytest.fixture
def files(voice, tmp_path):
    for seed, name in enumerate(("a.wav", "b.wav")):
        soundfile.write(tmp_path / name, voice(1.5 + seed, seed=seed).T, 16000)
    return ["a.wav", "b.wav"]


def test_a_row_for_each_file_and_bitrate_then_the_means(run, files, rows, codec):
    result = run("roundtrip", *files, "--bitrate", "600,2400", "--json")
    assert result.exit_code == 0, result.stderr
    *each, summary = rows(result)
    assert [(row["file"], row["num_quantizers"]) for row in each] == [
        ("a.wav", 2), ("a.wav", 8), ("b.wav", 2), ("b.wav", 8),
    ]  # fmt: skip
    for row in each:
        assert set(FIELDS) <= set(row)
        wav = soundfile.read(row["file"], dtype="float32")[0]
        assert row["bytes"] == len(codec.compress(wav, 16000, row["nominal_bitrate"]))
        assert row["bitrate"] == pytest.approx(8 * row["bytes"] / row["seconds"])
        assert row["codebook"] == codec.codebook_id[:32]
        assert 0 < row["encode_rtf"] < 10
    assert summary["summary"] is True
    assert (summary["files"], summary["failed"], summary["scored"]) == (2, 0, 4)
    for name in ("bitrate", "pesq_wb", "stoi", "encode_rtf", "decode_rtf"):
        assert summary[name] == pytest.approx(np.mean([row[name] for row in each]))
        for part in summary["by_bitrate"]:
            values = [row[name] for row in each if row["num_quantizers"] == part["num_quantizers"]]
            assert part[name] == pytest.approx(np.mean(values))


def test_scores_are_those_of_what_is_decoded(run, files, rows, tmp_path):
    from audiocodec.metrics import pesq_wb, stoi

    *each, _ = rows(run("roundtrip", "a.wav", "--bitrate", "600,2400", "-o", "kept", "--json"))
    for row, name in zip(each, ("a.600.wav", "a.2400.wav"), strict=True):
        original, decoded = soundfile.read("a.wav")[0], soundfile.read(tmp_path / "kept" / name)[0]
        assert row["pesq_wb"] == pytest.approx(pesq_wb(original, decoded, 16000), abs=0.01)
        assert row["stoi"] == pytest.approx(stoi(original, decoded, 16000), abs=0.01)
    assert each[1]["stoi"] > each[0]["stoi"]
    again = run("roundtrip", "a.wav", "--bitrate", "600", "-o", "kept")
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_the_usual_bitrates_and_all(run, files, rows, codec):
    # Of 1500, 3000 and 6000 the tiny model has the first.
    assert [row["nominal_bitrate"] for row in rows(run("roundtrip", "a.wav", "--json"))[:-1]] == [1500.0]
    every = rows(run("roundtrip", "a.wav", "--bitrate", "all", "--limit-seconds", "0.5", "--json"))[:-1]
    assert [row["nominal_bitrate"] for row in every] == list(codec.bitrates)
    assert {row["seconds"] for row in every} == {0.5}


def test_scores_that_cannot_be_computed_are_null_with_a_reason(run, tmp_path, rows):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "short.wav", np.full(100, 0.1), 16000)
    *each, summary = rows(run("roundtrip", "silent.wav", "short.wav", "--json"))
    for row in each:
        assert row["pesq_wb"] is None
        assert row["stoi"] is None
        assert set(row["errors"]) == {"pesq_wb", "stoi"}
    assert "silent" in each[0]["errors"]["stoi"]
    assert "too short" in each[1]["errors"]["stoi"]
    assert (summary["pesq_wb"], summary["stoi"], summary["scored"]) == (None, None, 0)


def test_channels_are_scored_each_and_averaged(run, voice, tmp_path, rows):
    left, right = voice(1.5, seed=0)[0], np.zeros(24000)
    soundfile.write(tmp_path / "half.wav", np.stack([left, right], axis=1), 16000)
    soundfile.write(tmp_path / "left.wav", left, 16000)
    half, alone, _ = rows(run("roundtrip", "half.wav", "left.wav", "--json"))
    assert half["stoi"] == pytest.approx(alone["stoi"], abs=0.01)
    assert half["errors"] == {}
    assert half["nominal_bitrate"] == 2 * alone["nominal_bitrate"]


def test_bad_files_are_named_and_the_others_done(run, files, rows, tmp_path):
    (tmp_path / "text.wav").write_text("hello")
    result = run("roundtrip", "text.wav", "a.wav", "missing.wav", "--json")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 2
    found = rows(result)
    assert [row["file"] for row in found if "pesq_wb" in row and "file" in row] == ["a.wav"]
    assert found[-1]["failed"] == 2


def test_a_table_for_people(run, files):
    text = run("roundtrip", *files).stdout
    assert text.splitlines()[0].split() == [
        "file", "seconds", "nominal", "bit/s", "bit/s", "PESQ", "STOI", "encode", "RTF", "decode", "RTF",
    ]  # fmt: skip
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["a.wav", "b.wav", "mean"]


@pytest.mark.parametrize("bitrate", ["x", "600;900", ""])
def test_wrong_usage(run, files, bitrate):
    assert run("roundtrip", "a.wav", "--bitrate", bitrate).exit_code == 2


def test_an_unknown_bitrate(run, files):
    result = run("roundtrip", "a.wav", "b.wav", "--bitrate", "600,650")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "choose one of 300, 600" in result.stderr


@pytest.fixture
def towards_pesq(tiny_folder, tmp_path):
    """The tiny model, as one whose losses imitate PESQ."""
    model, config, metadata = load_model(tiny_folder)
    save_model(tmp_path / "towards", model, config, {**metadata, "imitates": "pesq_wb,pesq_nb"})
    return tmp_path / "towards"


def test_other_scores(run, files, rows):
    *each, summary = rows(run("roundtrip", *files, "--metrics", "si_sdr, level_1_2khz", "--json"))
    assert {"si_sdr", "level_1_2khz"} <= set(each[0])
    assert not {"pesq_wb", "stoi"} & set(each[0])
    for name in ("si_sdr", "level_1_2khz"):
        assert (
            summary[name] == summary["by_bitrate"][0][name] == pytest.approx(np.mean([r[name] for r in each]))
        )
    assert (summary["scored"], summary["imitated"]) == (2, [])
    head, *_, last = run("roundtrip", *files, "--metrics", "si_sdr,pesq_wb").stdout.splitlines()
    assert head.split()[5:7] == ["si_sdr", "PESQ"]
    assert last.startswith("mean")  # nothing is known of the losses of this model


def test_scores_that_a_loss_imitates_are_marked(run, files, rows, towards_pesq):
    chosen = ("--model", towards_pesq, "--metrics", "stoi,pesq_wb")
    summary = rows(run("roundtrip", "a.wav", *chosen, "--json"))[-1]
    assert summary["imitated"] == ["pesq_wb"]
    head, *_, note = run("roundtrip", "a.wav", *chosen).stdout.splitlines()
    assert head.split()[5:7] == ["STOI", "PESQ*"]
    assert note == "* the model was trained with a loss that imitates this score; judge by the other scores"
    assert "*" not in run("roundtrip", "a.wav", *chosen[:2], "--metrics", "stoi").stdout


@pytest.mark.parametrize("metrics", ["pesk", "stoi,", "", "stoi;pesq_wb"])
def test_unknown_scores(run, files, metrics):
    result = run("roundtrip", "a.wav", "--metrics", metrics)
    assert result.exit_code == 2
    assert "frame_lock" in result.stderr  # what there is


def test_a_score_whose_package_is_missing(run, files, monkeypatch):
    monkeypatch.setattr("audiocodec.metrics.base.find_spec", lambda name: None)
    result = run("roundtrip", "a.wav", "--metrics", "distillmos")
    assert result.exit_code == 1
    assert "pip install 'audiocodec[scores]'" in result.stderr


def test_denoised(run, speech, denoising, denoising_folder, rows):
    """The file written is the denoised one; scores are against what went in."""
    command = ("roundtrip", "talk.wav", "--model", denoising_folder, "--bitrate", 2400, "--json")
    off, on = (rows(run(*command, *more))[0] for more in ((), ("--denoise",)))
    assert on["bytes"] == off["bytes"]
    assert on["pesq_wb"] != off["pesq_wb"]
    assert "no denoising switch" in run("roundtrip", "talk.wav", "--denoise").stderr
