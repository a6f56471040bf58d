"""A tiny model of the same kind as the real ones, and sounds to code with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from audiocodec.checkpoint import save_model
from audiocodec.codec import Codec, load
from audiocodec.model import ModelConfig, QuantizerConfig, build_model
from audiocodec.nn.spectral import SpectralConfig, start_linear

TINY_NET = SpectralConfig(
    dim=16, encoder_channels=32, encoder_blocks=1, decoder_channels=32, decoder_blocks=1
)
TINY = ModelConfig(net=TINY_NET, quantizer=QuantizerConfig(num_quantizers=8, codebook_size=64))


def voice(seconds: float, sample_rate: int = 16000, channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """Something like voiced speech [C, L]: harmonics of a wandering pitch, switched on and off, with some noise."""
    rng = np.random.default_rng(seed)
    length = max(1, round(seconds * sample_rate))
    time = np.arange(length) / sample_rate
    out = []
    for _ in range(channels):
        pitch = 120 + 30 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time + rng.uniform(0, 6))
        phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
        tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 20))
        loudness = np.clip(np.sin(2 * np.pi * 1.7 * time + rng.uniform(0, 6)) + 0.5, 0, 1)
        out.append(0.1 * loudness * tone + 0.003 * rng.standard_normal(length))
    return np.stack(out).astype(np.float32)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; its nets pass speech-like sound through, its codebooks are fitted to it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(TINY)
        wav = torch.from_numpy(voice(8.0))[:, None]
        with torch.no_grad():
            start_linear(model.encoder, model.decoder, wav)
            model.quantizer.initialise(model.encoder(wav))
    save_model(folder, model, TINY, {"note": "made by the tests"})
    return folder


@pytest.fixture(scope="session")
def codec(tiny_folder: Path) -> Codec:
    return load(tiny_folder, device="cpu")


@pytest.fixture
def speech_wav(tmp_path: Path) -> Path:
    """One second and a bit at 16 kHz, 16 bit."""
    path = tmp_path / "speech.wav"
    soundfile.write(path, voice(1.3).T, 16000, subtype="PCM_16")
    return path
