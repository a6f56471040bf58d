"""Shards written by WebDataset itself, of recordings whose samples say which they are."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webdataset

RATE = 16000
LENGTH = 1600


def ramp(number: int, seconds: float) -> np.ndarray:
    """Sample i of recording `number` is (number * 32 + i // 1600) * 16 in 16 bits: which one, and where."""
    length = round(seconds * RATE)
    return ((number * 32 + np.arange(length) // LENGTH) * 16 / 32768).astype(np.float32)


def encoded(wav: np.ndarray, rate: int = RATE, kind: str = "FLAC") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wav, rate, format=kind, subtype="PCM_16")
    return file.getvalue()


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Four shards with 3, 4, 5 and 6 recordings of 0.35 to 2.05 s: number n has a length of its own."""
    number, paths = 0, []
    for shard in range(4):
        paths.append(tmp_path / f"train-{shard:03}.tar")
        with webdataset.TarWriter(str(paths[-1])) as writer:
            for _ in range(shard + 3):
                wav = ramp(number, 0.35 + 0.1 * number)
                about = {"speaker": f"s{number}", "source": "ab"[number % 2]}
                writer.write({"__key__": f"rec{number:03}", "flac": encoded(wav), "json": about})
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
