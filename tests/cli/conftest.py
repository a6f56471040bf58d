"""Running commands in this process, with the tiny model installed as the only pretrained one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner, Result

from audiocodec import pretrained
from audiocodec.cli import train

Run = Callable[..., Result]
RECIPE = """
name: tiny
model:
  net: {kind: spectral, dim: 8, encoder_channels: 16, encoder_blocks: 1, decoder_blocks: 1}
  quantizer: {num_quantizers: 2, codebook_size: 16}
data: {manifest: sound, segment_seconds: 0.4, batch_size: 2}
loss: {window_lengths: [512], mel_bins: [40], compressed_windows: []}
steps: 6
prefix_choices: []
log_every: 2
validate_every: 4
validate_seconds: 3.0
judge_clips: 0
"""


@pytest.fixture(scope="session")
def installed(tiny_folder, codec, tmp_path_factory) -> Path:
    """A folder of pretrained models that holds the tiny one."""
    root = tmp_path_factory.mktemp("pretrained")
    shutil.copytree(tiny_folder, root / "tiny")
    entry = {
        "folder": "tiny",
        "files": {path.name: pretrained.sha256(path) for path in (root / "tiny").iterdir()},
        "model_id": codec.model_id,
        "codebook_id": codec.codebook_id,
        "sample_rate": 16000,
        "bitrates": list(codec.bitrates),
        "parameters": 123_456,
        "latency_ms": 40.0,
        "licence": "MIT",
        "default": True,
    }
    (root / "index.json").write_text(json.dumps({"version": 1, "models": {"tiny": entry}}))
    return root


@pytest.fixture
def run(installed, monkeypatch, tmp_path) -> Run:
    """Runs `audiocodec ARGUMENTS...` in a folder of its own; an exception that comes out is an error."""
    from audiocodec.cli.main import app

    monkeypatch.setattr(pretrained, "data_folder", lambda: installed)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object, stdin: bytes | None = None) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def speech(voice, tmp_path) -> Path:
    """talk.wav: 1.3 s at 16 kHz."""
    path = tmp_path / "talk.wav"
    soundfile.write(path, voice(1.3).T, 16000)
    return path


@pytest.fixture
def rows() -> Callable[[Result], list[dict]]:
    """The JSON objects a command printed; there must be nothing else on stdout."""
    return lambda result: [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def place(tmp_path, voice, monkeypatch) -> Path:
    """To train in: a folder with `tiny.yaml` and a folder of sound; the process itself is left as it is."""
    monkeypatch.setattr(train, "prepare_for_training", lambda: None)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    for split in ("train", "valid"):
        (tmp_path / "sound" / split).mkdir(parents=True)
        soundfile.write(tmp_path / "sound" / split / "a.wav", voice(3.0).T, 16000)
    return tmp_path
