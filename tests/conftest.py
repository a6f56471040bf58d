"""A tiny model of the same kind as the real ones, and sound to code with it."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile

# Before torch and numpy start theirs: tests are small, and several of them run at a time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

if TYPE_CHECKING:
    from audiocodec.codec import Codec
    from audiocodec.model import ModelConfig

Voice = Callable[..., NDArray[np.float32]]


def _voice(seconds: float, sample_rate: int = 16000, channels: int = 1, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    time = np.arange(max(1, round(seconds * sample_rate))) / sample_rate
    out = []
    for _ in range(channels):
        pitch = 120 + 30 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time + rng.uniform(0, 6))
        phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
        tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 20))
        loudness = np.clip(np.sin(2 * np.pi * 1.7 * time + rng.uniform(0, 6)) + 0.5, 0, 1)
        out.append(0.1 * loudness * tone + 0.003 * rng.standard_normal(len(time)))
    return np.stack(out).astype(np.float32)


@pytest.fixture
def hear_signals() -> Generator[None]:
    """Signals end processes started meanwhile, also where `nohup` or `&` ignored them for the tests."""
    handlers = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    found = {getattr(signal, name): new for name, new in handlers.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, new) for number, new in found.items()}
    yield
    for number, old in before.items():
        signal.signal(number, old)


@pytest.fixture(scope="session")
def voice() -> Voice:
    """Makes something like voiced speech [C, L]: a wandering pitch, switched on and off, and some noise."""
    return _voice


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    from audiocodec.model import ModelConfig, QuantizerConfig
    from audiocodec.nn.spectral import SpectralConfig

    sizes = {"encoder_channels": 64, "encoder_blocks": 1, "decoder_channels": 64, "decoder_blocks": 1}
    return ModelConfig(
        net=SpectralConfig(dim=48, **sizes), quantizer=QuantizerConfig(num_quantizers=8, codebook_size=64)
    )


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, tiny_config: ModelConfig) -> Path:
    """A model folder; its nets pass speech-like sound through, its codebooks are fitted to it."""
    import torch

    from audiocodec.checkpoint import save_model
    from audiocodec.model import build_model
    from audiocodec.nn.spectral import start_linear

    folder = tmp_path_factory.mktemp("models") / "tiny"
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = build_model(tiny_config)
        wav = torch.from_numpy(np.stack([_voice(8.0, seed=seed) for seed in range(4)]))
        start_linear(model.encoder, model.decoder, wav)
        model.quantizer.initialize(model.encoder(wav))
    save_model(folder, model, tiny_config, {"note": "made by the tests"})
    return folder


@pytest.fixture(scope="session")
def codec(tiny_folder: Path) -> Codec:
    from audiocodec.codec import load

    return load(tiny_folder, device="cpu")


@pytest.fixture(scope="session")
def random_codec(tiny_folder: Path) -> Codec:
    """The same with random phase in its decoder."""
    from dataclasses import replace

    from audiocodec.checkpoint import load_model
    from audiocodec.codec import Codec
    from audiocodec.nn.spectral import SpectralConfig, SpectralDecoder

    model, config, metadata = load_model(tiny_folder)
    assert isinstance(config.net, SpectralConfig)
    config = replace(config, net=replace(config.net, noise_gains=(0.4, 0.5)))
    decoder = SpectralDecoder(config.net)
    decoder.load_state_dict(model.decoder.state_dict())
    model.decoder = decoder.eval()
    return Codec(model, config, {**metadata, "name": tiny_folder.name})


@pytest.fixture(scope="session")
def denoising_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a denoising switch that does something, if nothing useful."""
    from dataclasses import replace

    import torch

    from audiocodec.checkpoint import load_model, save_model

    folder = tmp_path_factory.mktemp("denoising")
    model, config, _ = load_model(tiny_folder)
    model.encoder.add_switch()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.encoder.film.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    save_model(folder, model, replace(config, denoise="film"))
    return folder


@pytest.fixture(scope="session")
def denoising(denoising_folder: Path) -> Codec:
    from audiocodec.codec import load

    return load(denoising_folder, device="cpu")


def _ramp(number: int, seconds: float) -> NDArray[np.float32]:
    """Sample i of recording `number` is (number * 32 + i // 1600) * 16 in 16 bits: which one, and where."""
    length = round(seconds * 16000)
    return ((number * 32 + np.arange(length) // 1600) * 16 / 32768).astype(np.float32)


def _encoded(wav: NDArray[np.float32], rate: int = 16000, kind: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wav, rate, format=kind, subtype="PCM_16")
    return file.getvalue()


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Four shards with 3, 4, 5 and 6 recordings of 0.35 to 2.05 s: number n has a length of its own."""
    import webdataset

    number, paths = 0, []
    for shard in range(4):
        paths.append(tmp_path / f"train-{shard:03}.tar")
        with webdataset.TarWriter(str(paths[-1])) as writer:
            for _ in range(shard + 3):
                wav = _ramp(number, 0.35 + 0.1 * number)
                about = {"speaker": f"s{number}", "source": "ab"[number % 2]}
                writer.write({"__key__": f"rec{number:03}", "flac": _encoded(wav), "json": about})
                number += 1
    return paths


@pytest.fixture
def tar(tmp_path: Path) -> Callable[[Iterable[tuple[str, bytes]]], Path]:
    """Writes a tar file of members as given."""

    def write(members: Iterable[tuple[str, bytes]]) -> Path:
        path = tmp_path / "made.tar"
        with tarfile.open(path, "w") as file:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        return path

    return write


@pytest.fixture
def about() -> Callable[..., bytes]:
    return lambda **fields: json.dumps(fields).encode()
