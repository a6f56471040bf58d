"""Recordings to take noise, talkers and rooms from, small enough for any test."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from audiocodec.effects import Sources

RATE = 16000


def _response(rng, t60=0.3, delay=40):
    time = np.arange(int(t60 * RATE)) / RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / t60) * 0.1
    tail[0] = 0.8
    return np.concatenate([np.zeros(delay), tail])


@pytest.fixture(scope="session")
def sound_folder(tmp_path_factory, voice):
    """A folder tree noise/, speech/, music/, rir/ with a manifest.csv of all that is in it."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((5, 3 * RATE)) * 0.1
    hum = 0.2 * np.sin(2 * np.pi * 100 * np.arange(RATE // 2) / RATE)
    files = {
        "noise/street_01.wav": noise[0],
        "noise/street_02.wav": noise[1] * (1 + np.sin(np.arange(3 * RATE) / 3000)),
        "noise/cafe.wav": noise[2],
        "noise/short_hum.wav": hum,
        "music/song.wav": 0.3 * np.sin(np.cumsum(np.linspace(0.1, 0.4, 2 * RATE))),
        "rir/office.wav": _response(rng),
        "rir/hall.wav": _response(rng, 0.9, 200),
        **{f"speech/s{n}/{n}_{i}.wav": voice(3.0, seed=10 * n + i)[0] for n in range(4) for i in range(2)},
    }
    lines = ["path,split,kind,source,speaker,seconds"]
    for name, wav in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, wav, RATE, "FLOAT")
        kind = name.split("/")[0]
        speaker = name.split("/")[1] if kind == "speech" else ""
        lines.append(f"{name},train,{kind},made,{speaker},{len(wav) / RATE}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def sources(sound_folder):
    return Sources.open([sound_folder / "manifest.csv"])


@pytest.fixture(scope="session")
def speech(voice):
    """Two seconds like speech, with pauses [L]."""
    return voice(2.0, seed=99)[0]
