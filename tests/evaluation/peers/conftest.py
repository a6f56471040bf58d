import stat
from pathlib import Path

import numpy as np
import pytest
import soundfile

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(scope="session")
def speech():
    """Two seconds of real speech [L] at 16 kHz."""
    wav, rate = soundfile.read(DATA / "ls_2033_001.flac", dtype="float32")
    assert rate == 16000
    return np.ascontiguousarray(wav[:32000])


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that puts a program of a given name and shell text first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def add(name, text):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return add
