from pathlib import Path

import numpy as np
import pytest
import torch

from audiocodec import audio


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def speech() -> list[np.ndarray]:
    """Real clips [48000]: 3 s at 16 kHz, each from its first second on."""
    data = Path(__file__).parents[1] / "data"
    return [audio.read(path)[0][0, 16000:64000] for path in sorted(data.glob("*.flac"))]
