import numpy as np
import pytest
import soundfile

from audiocodec.tokens import load_tokens


@pytest.mark.parametrize("order", ["rows", "flat", "delay"])
def test_there_and_back(run, speech, codec, rows, order):
    wav = soundfile.read(speech, dtype="float32")[0]
    (row,) = rows(run("tokens", "talk.wav", "-o", "codes", "--order", order, "--bitrate", 900, "--json"))
    assert row["output"] == "codes/talk.npz"
    assert (row["num_quantizers"], row["frames"], row["channels"], row["order"]) == (3, 66, 1, order)
    encoded = codec.encode(wav, 16000, 900)
    assert np.array_equal(load_tokens("codes/talk.npz").codes, encoded.codes)
    result = run("tokens", "codes/talk.npz", "--back", "-o", "decoded")
    assert result.exit_code == 0, result.stderr
    assert "talk.wav: 1.30 s, 1 x 3 x 66 codes" in result.stdout
    decoded = soundfile.read("decoded/talk.wav", dtype="float32")[0]
    np.testing.assert_allclose(decoded, codec.decode(encoded)[0][0], atol=1 / 32768)


def test_a_stream_keeps_its_codes(run, speech, codec):
    assert run("encode", "talk.wav", "--bitrate", 600).exit_code == 0
    result = run("tokens", "talk.nac", "-o", "codes", "--model", "none-such")  # none is needed
    assert result.exit_code == 0, result.stderr
    found = load_tokens("codes/talk.npz")
    expected = codec.encode(soundfile.read(speech, dtype="float32")[0], 16000, 600)
    assert np.array_equal(found.codes, expected.codes)
    assert found.header.length == 20800


def test_folders_and_bad_files(run, speech, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    speech.rename(tmp_path / "in" / "deep" / "talk.wav")
    (tmp_path / "in" / "bad.wav").write_text("no sound")
    result = run("tokens", "in", "-o", "codes")
    assert result.exit_code == 1
    assert result.stderr.count("error: ") == 1
    assert [str(path.relative_to(tmp_path)) for path in (tmp_path / "codes").rglob("*.npz")] == [
        "codes/deep/talk.npz"
    ]
    (tmp_path / "codes" / "bad.npz").write_text("no tokens")
    result = run("tokens", "codes", "--back", "-o", "decoded")
    assert result.exit_code == 1
    assert "codes/bad.npz: not a .npz file" in result.stderr
    assert (tmp_path / "decoded" / "deep" / "talk.wav").exists()


def test_denoising(run, speech, denoising, denoising_folder):
    result = run("tokens", "talk.wav", "-o", ".", "--denoise")
    assert "no denoising switch" in result.stderr
    assert run("tokens", "talk.wav", "-o", ".", "--denoise", "--model", denoising_folder).exit_code == 0
    wav = soundfile.read(speech, dtype="float32")[0]
    expected = denoising.encode(wav, 16000, denoise=True).codes
    assert np.array_equal(load_tokens("talk.npz").codes, expected)


def test_nothing_is_overwritten_unless_asked(run, speech):
    assert run("tokens", "talk.wav", "-o", ".").exit_code == 0
    assert "exists already" in run("tokens", "talk.wav", "-o", ".").stderr
    assert run("tokens", "talk.wav", "-o", ".", "--force").exit_code == 0


def test_wrong_usage(run, speech):
    assert run("tokens", "talk.wav").exit_code == 2
    assert run("tokens", "talk.wav", "-o", ".", "--order", "columns").exit_code == 2
