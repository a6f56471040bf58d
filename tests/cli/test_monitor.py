import json

import numpy as np
import pytest
from typer.testing import CliRunner

from audiocodec import audio
from audiocodec.cli.main import app

runner = CliRunner()


@pytest.fixture(scope="module")
def sounds(voice, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for kind in ("train", "clean", "noisy"):
        (folder / kind).mkdir()
    for seed in range(10):
        audio.write(folder / "train" / f"{seed}.wav", voice(6.0, seed=seed), 16000)
    rng = np.random.default_rng(0)
    audio.write(folder / "clean" / "a.wav", voice(6.0, seed=20), 16000)
    noisy = voice(12.0, seed=21) + 0.1 * rng.standard_normal((1, 192000))
    audio.write(folder / "noisy" / "a.wav", noisy.astype(np.float32).clip(-1, 1), 16000)
    return folder


@pytest.fixture(scope="module")
def baseline(sounds, tiny_folder):
    file = sounds / "baseline.safetensors"
    result = runner.invoke(
        app,
        ["baseline", str(sounds / "train"), "-o", str(file), "--model", str(tiny_folder), "--windows", "50"],
    )
    assert result.exit_code == 0, result.output
    return file


def monitor(*arguments):
    result = runner.invoke(app, ["monitor", *map(str, arguments), "--sequential", "none", "--json"])
    return result, [json.loads(entry) for entry in result.stdout.splitlines() if entry.startswith("{")]


def test_clean_is_ok_and_noise_ends_with_status_3(sounds, baseline, tiny_folder, tmp_path):
    options = ("--baseline", baseline, "--model", tiny_folder, "--window", 5, "--false-alarm-rate", 0.04)
    result, records = monitor(sounds / "clean", *options)
    assert result.exit_code == 0, result.output
    assert records[-1]["state"] == "ok"
    log = tmp_path / "m.jsonl"
    result, records = monitor(sounds / "noisy", *options, "--log", log)
    assert result.exit_code == 3
    assert records[-1] == {**records[-1], "summary": True, "state": "alert", "failed": 0}
    assert records[0]["measures"]["relative_error"] > 1.3
    assert len(log.read_text().splitlines()) == len(records) + 1

    page = tmp_path / "page.html"
    result = runner.invoke(app, ["dashboard", str(log), "-o", str(page)])
    assert result.exit_code == 0, result.output
    assert "Alert" in page.read_text()
    assert runner.invoke(app, ["dashboard", str(log), "-o", str(page)]).exit_code == 1  # not overwritten
    assert runner.invoke(app, ["dashboard", str(log)]).exit_code == 2


def test_what_cannot_be_watched(sounds, baseline, tiny_folder, tmp_path):
    result, _ = monitor(sounds / "clean", "--model", tiny_folder)
    assert result.exit_code == 1
    assert "has no baseline.safetensors" in result.output
    result, _ = monitor(sounds / "clean", "--model", tiny_folder, "--baseline", baseline, "--window", 2)
    assert "at least 5 s" in result.output
    short = tmp_path / "short.wav"
    audio.write(short, np.zeros((1, 16000), np.float32), 16000)
    result, _ = monitor(short, "--model", tiny_folder, "--baseline", baseline)
    assert result.exit_code == 1
    assert "too little audio: 1.0 s" in result.output
    (tmp_path / "bad.wav").write_text("no sound")
    result, records = monitor(tmp_path / "bad.wav", "--model", tiny_folder, "--baseline", baseline)
    assert result.exit_code == 1
    assert records[0]["kind"] == "InputError"
