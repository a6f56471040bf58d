import re

import numpy as np
import pesq
import pystoi
import pytest
import soundfile

from audiocodec import audio
from audiocodec.evaluation.coders import Decoded, ModelCoder
from audiocodec.evaluation.conditions import Condition, Grid, expand
from audiocodec.evaluation.recordings import read_recordings
from audiocodec.evaluation.tasks import Unit, make_input, score_unit
from audiocodec.metrics.codebook import quantization_error


@pytest.fixture
def noisy():
    [condition] = expand("white_5db", Grid({}, ({"kind": "colored_noise", "snr_db": 5.0},)), {})
    return condition


@pytest.fixture
def model_rows(codec, speech_folder, setup_with, noisy):
    """Rows of one recording by the tiny model, and what went into it."""
    setup = setup_with(ModelCoder(codec), metrics=("pesq_wb", "stoi", "si_sdr"))
    unit = Unit(read_recordings(speech_folder)[0], noisy, ((0, codec.bitrates[1]), (0, codec.bitrates[-1])))
    return score_unit(setup, unit), make_input(setup, unit)


def test_scores_are_those_of_the_libraries(model_rows, codec):
    rows, source = model_rows
    for row in rows:
        decoded = codec.decompress(codec.compress(source.wav, 16000, row["nominal_bitrate"]))[0][0]
        for reference, name in ((source.wav, "input"), (source.clean, "clean")):
            pair = reference.astype(np.float64), decoded.astype(np.float64)
            assert row[f"pesq_wb_{name}"] == pytest.approx(pesq.pesq(16000, *pair, "wb"), abs=1e-6)
            assert row[f"stoi_{name}"] == pytest.approx(pystoi.stoi(*pair, 16000), abs=1e-6)
        uncoded = source.clean.astype(np.float64), source.wav.astype(np.float64)
        assert row["pesq_wb_uncoded"] == pytest.approx(pesq.pesq(16000, *uncoded, "wb"), abs=1e-6)


def test_rows_say_what_codes_do(model_rows, codec):
    (low, high), source = model_rows
    for row in (low, high):
        data = codec.compress(source.wav, 16000, row["nominal_bitrate"])
        assert row["bytes"] == len(data)
        assert row["bitrate"] == pytest.approx(8 * len(data) / 1.2)
        codes = codec.encode(source.wav, 16000, row["nominal_bitrate"]).codes[0]
        clean = codec.encode(source.original, 16000, row["nominal_bitrate"]).codes[0]
        assert row["token_flip_rate"] == pytest.approx(float((codes != clean).mean()))
        assert len(row["usage_by_stage"]) == len(codes)
        assert row["usage_by_stage"][0] == len(set(codes[0])) / 64
        coder = ModelCoder(codec)
        latents = coder.latents(source.wav, 16000)
        assert row["quantization_error"] == pytest.approx(quantization_error(latents, coder.quantized(codes)))
    assert 0 < high["quantization_error"] < low["quantization_error"]
    assert 0 < low["token_flip_rate"] <= 1


def test_rows_say_what_they_are_of(model_rows, codec):
    row = model_rows[0][0]
    assert (row["file"], row["speaker"], row["condition"]) == ("alice/a.wav", "alice", "white_5db")
    assert (row["snr_db"], row["codec"], row["peer"], row["model"]) == (5.0, "tiny", False, "tiny")
    assert (row["seconds"], row["sample_rate"]) == (pytest.approx(1.2), 16000)
    assert row["codebook"] == codec.header(16000, 1).codebook_id
    assert row["errors"] == {}
    assert "error" not in row


def test_a_clean_recording_has_one_reference(codec, speech_folder, setup_with):
    setup = setup_with(ModelCoder(codec), metrics=("pesq_wb", "si_sdr", "mel_distance"))
    unit = Unit(read_recordings(speech_folder)[0], Condition("clean"), ((0, codec.bitrates[-1]),))
    [row] = score_unit(setup, unit)
    assert row["token_flip_rate"] == 0
    for metric in ("si_sdr", "mel_distance"):
        assert row[metric] == row[f"{metric}_clean"]
        assert f"{metric}_uncoded" not in row
    assert row["pesq_wb_input"] == row["pesq_wb_clean"]


def test_without_clean_originals_only_coding_is_scored(codec, speech_folder, setup_with):
    setup = setup_with(ModelCoder(codec), metrics=("si_sdr",), has_clean=False)
    unit = Unit(read_recordings(speech_folder)[0], Condition("clean"), ((0, codec.bitrates[-1]),))
    [row] = score_unit(setup, unit)
    assert "si_sdr" in row
    assert not [name for name in row if name.endswith(("_clean", "_uncoded"))]
    assert "token_flip_rate" not in row
    assert row["usage"] > 0


@pytest.mark.parametrize(
    ("habit", "reason"),
    [
        ("nan", "nan returned samples that are not finite numbers"),
        ("short", r"short returned \(19199,\) samples for \(19200,\)"),
        ("fail", "it does not want to"),
        ("break", "internal error: KeyError: 'inside'"),
    ],
)
def test_a_codec_that_fails_is_a_row_with_the_reason(double, setup_with, units, habit, reason):
    setup = setup_with(double(habit, habit), double())
    rows = score_unit(setup, units(codecs=2, bitrates=(1000.0,))[0])
    assert rows[0]["stage"] == "codec"
    assert rows[0]["codec"] == habit
    assert re.search(reason, rows[0]["error"])
    assert rows[0]["seconds"] == pytest.approx(1.2)
    assert "si_sdr" not in rows[0]
    assert "error" not in rows[1]


def test_a_file_that_cannot_be_read_gives_all_its_rows_the_reason(double, setup_with, units, speech_folder):
    (speech_folder / "alice" / "a.wav").write_bytes(b"no sound")
    rows = score_unit(setup_with(double()), units()[0])
    assert len(rows) == 2
    assert all("not a sound file" in row["error"] and row["stage"] == "input" for row in rows)
    assert [row["nominal_bitrate"] for row in rows] == [1000.0, 2000.0]


def test_silence_has_no_snr(double, setup_with, units, speech_folder, noisy):
    soundfile.write(speech_folder / "alice" / "a.wav", np.zeros(16000), 16000)
    setup = setup_with(double(), metrics=("pesq_wb", "mel_distance"))
    rows = score_unit(setup, units(conditions=[noisy])[0])
    assert all("the speech is silent" in row["error"] for row in rows)
    rows = score_unit(setup, units()[0])
    assert "error" not in rows[0]
    assert "silent" in rows[0]["errors"]["pesq_wb_input"]
    assert rows[0]["mel_distance"] > 0
    assert "pesq_wb_input" not in rows[0]


def test_what_is_too_short_for_a_score_says_so(double, setup_with, units, speech_folder, voice):
    soundfile.write(speech_folder / "alice" / "a.wav", voice(0.2)[0], 16000)
    [row, _] = score_unit(setup_with(double(), metrics=("pesq_wb", "stoi", "si_sdr")), units()[0])
    assert set(row["errors"]) == {f"{m}_{r}" for m in ("pesq_wb", "stoi") for r in ("input", "clean")}
    assert "too short" in row["errors"]["stoi_clean"]
    assert row["si_sdr"] > 0


def test_infinity_is_no_score(setup_with, units, double, monkeypatch):
    monkeypatch.setattr(double, "code", lambda self, wav, rate, bitrate: perfect(wav))
    row = score_unit(setup_with(double()), units()[0])[0]
    assert "si_sdr" not in row
    assert "inf" in row["errors"]["si_sdr"]


def perfect(wav):
    return Decoded(wav.copy(), 10, 80, 0.0, 0.0)


def test_channels_are_mixed_and_long_files_cut(double, setup_with, units, speech_folder, voice):
    soundfile.write(speech_folder / "alice" / "a.wav", voice(1.0, 44100, 2).T, 44100)
    source = make_input(setup_with(double(), limit_seconds=0.5), units()[0])
    wav, _ = audio.read(speech_folder / "alice" / "a.wav", 0, 22050)
    np.testing.assert_array_equal(source.original, wav.mean(axis=0))
    assert (source.sample_rate, source.seconds) == (44100, 0.5)


def test_stereo_with_an_inverted_channel_is_not_called_silent(
    double, setup_with, units, speech_folder, voice
):
    wav = voice(1.0)[0]
    soundfile.write(speech_folder / "alice" / "a.wav", np.stack([wav, -wav], axis=1), 16000)
    rows = score_unit(setup_with(double()), units()[0])
    assert all("a.wav: its channels cancel each other" in row["error"] for row in rows)


@pytest.mark.parametrize(("seconds", "limit"), [(1.0, 4.0), (25.0, 10.0)])
def test_every_step_says_how_long_it_may_take(double, setup_with, units, speech_folder, seconds, limit):
    soundfile.write(speech_folder / "alice" / "a.wav", np.full(round(8000 * seconds), 0.1), 8000)
    limits = []
    score_unit(setup_with(double(), timeout_seconds=4.0), units()[0], limits.append)
    assert limits == [4.0, limit, limit, limit]
