import json
import shutil

import soundfile

from audiocodec import pretrained


def test_encode(run, speech, denoising, denoising_folder):
    assert run("encode", "talk.wav", "--model", denoising_folder, "--denoise").exit_code == 0
    wav = soundfile.read(speech, dtype="float32")[0]
    data = speech.with_suffix(".nac").read_bytes()
    assert data == denoising.compress(wav, 16000, denoise=True)
    assert data != denoising.compress(wav, 16000)


def test_a_model_that_cannot(run, speech, tmp_path, installed, monkeypatch):
    result = run("encode", "talk.wav", "--denoise")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "error: model 'tiny' has no denoising switch; installed models with one: none; leave out --denoise,"
        " or name one of these or a folder (--model)"
    ]
    assert not (tmp_path / "talk.nac").exists()
    index = json.loads((installed / "index.json").read_text())
    index["models"]["quiet"] = {**index["models"]["tiny"], "denoise": True}
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "index.json").write_text(json.dumps(index))
    shutil.copytree(installed / "tiny", tmp_path / "root" / "tiny")
    monkeypatch.setattr(pretrained, "data_folder", lambda: tmp_path / "root")
    assert "installed models with one: quiet;" in run("encode", "talk.wav", "--denoise").stderr
    assert " yes " in run("models").stdout


def test_roundtrip(run, speech, denoising, denoising_folder, rows):
    """The file written is the denoised one; scores are against what went in."""
    command = ("roundtrip", "talk.wav", "--model", denoising_folder, "--bitrate", 2400, "--json")
    off, on = (rows(run(*command, *more))[0] for more in ((), ("--denoise",)))
    assert on["bytes"] == off["bytes"]
    assert on["pesq_wb"] != off["pesq_wb"]
    assert "no denoising switch" in run("roundtrip", "talk.wav", "--denoise").stderr
