"""Small containers and files that behave like pipes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audiocodec.bitstream import ContainerWriter, Header

Codes = NDArray[np.int64]


@pytest.fixture
def make_header() -> Callable[..., Header]:
    def make(**changes: Any) -> Header:
        fields: dict[str, Any] = {
            "model_id": "0123456789abcdef" * 2,
            "codebook_id": "fedcba9876543210" * 2,
            "sample_rate": 16000,
            "channels": 1,
            "length": None,
            "model_sample_rate": 16000,
            "hop_length": 320,
            "delay": 0,
            "codebook_sizes": (1024, 6),
            "packet_frames": 10,
            "model_name": "tiny",
        }
        return Header(**{**fields, **changes})

    return make


@pytest.fixture
def draw_codes() -> Callable[..., Codes]:
    def draw(
        header: Header, rng: np.random.Generator, frames: int | None = None, rows: int | None = None
    ) -> Codes:
        sizes = header.codebook_sizes[:rows]
        frames = frames or header.packet_frames
        return np.stack([rng.integers(0, size, (header.channels, frames)) for size in sizes], 1)

    return draw


@pytest.fixture
def write_file() -> Callable[[Header, list[Codes], int], bytes]:
    def write(header: Header, packets: list[Codes], length: int) -> bytes:
        file = io.BytesIO()
        with ContainerWriter(file, header) as writer:
            for codes in packets:
                writer.write_packet(codes)
            writer.close(length)
        return file.getvalue()

    return write


class Pipe(io.RawIOBase):
    """A source that cannot seek and gives at most `step` bytes at a time; counts what was asked of it."""

    def __init__(self, data: bytes, step: int = 7) -> None:
        self._rest = io.BytesIO(data)
        self._step = step
        self.largest_request = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        self.largest_request = max(self.largest_request, size)
        return self._rest.read(min(size, self._step))


class CountingFile(io.BytesIO):
    """Counts the bytes that are read from it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


@pytest.fixture
def counting_file() -> type[CountingFile]:
    return CountingFile


@pytest.fixture
def pipe() -> type[Pipe]:
    return Pipe
