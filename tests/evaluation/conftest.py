"""Recordings of two speakers, noise, and codecs that do as they are told, also in other processes."""

import importlib
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocodec.effects import Sources
from audiocodec.evaluation.conditions import Condition
from audiocodec.evaluation.recordings import read_recordings
from audiocodec.evaluation.rows import to_frame
from audiocodec.evaluation.tasks import Setup, Unit
from audiocodec.metrics import METRICS

CLEAN = Condition("clean")
CODECS = (
    ("model", 1, (2000.0, 4000.0, 8000.0)),
    ("late", 2, (4000.0, 8000.0, 16000.0)),
    ("far", 16, (16000.0, 32000.0)),
)
DOUBLES = '''
import os, time
from dataclasses import dataclass
import numpy as np
from audiocodec.errors import PeerError
from audiocodec.evaluation.coders import Decoded

@dataclass(frozen=True)
class Double:
    """Copies, or fails as `habit` says, always or while a file `while_there` exists."""

    name: str = "copy"
    habit: str = "copy"
    while_there: str = ""
    log: str = ""

    @property
    def identity(self):
        return {"peer": True}

    def bitrates_near(self, asked):
        return tuple(asked)

    def code(self, wav, sample_rate, bitrate):
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{os.getpid()} {bitrate}\\n")
        habit = self.habit
        if self.while_there:
            try:
                os.remove(self.while_there)
            except FileNotFoundError:
                habit = "copy"
        if habit == "die":
            os._exit(7)
        if habit == "hang":
            time.sleep(600)
        if habit == "slow":
            time.sleep(0.05)
        if habit == "fail":
            raise PeerError("it does not want to")
        if habit == "break":
            raise KeyError("inside")
        out = {"nan": wav * np.float32("nan"), "short": wav[:-1]}.get(habit, wav)
        rng = np.random.default_rng(0)
        out = out + (0.01 * rng.standard_normal(len(out))).astype(np.float32)
        return Decoded(out, 100, 640, 0.01, 0.02)
'''


@pytest.fixture
def double(tmp_path, monkeypatch):
    """Makes a codec of a habit; its module is found by worker processes too."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "evaluation_doubles.py").write_text(DOUBLES)
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("evaluation_doubles", None)
    yield importlib.import_module("evaluation_doubles").Double
    sys.modules.pop("evaluation_doubles", None)


@pytest.fixture
def speech_folder(voice, tmp_path) -> Path:
    """alice/a.wav and bob/b.wav, 1.2 s each at 16 kHz."""
    folder = tmp_path / "speech"
    for seed, name in enumerate(("alice/a.wav", "bob/b.wav")):
        path = folder / name
        path.parent.mkdir(parents=True)
        soundfile.write(path, voice(1.2, seed=seed)[0], 16000)
    return folder


@pytest.fixture
def noise_folder(tmp_path) -> Path:
    """Types hum and rain; rain is 8 kHz and shorter than the speech."""
    folder = tmp_path / "noises"
    rng = np.random.default_rng(3)
    for name, rate, seconds in (("hum/1.wav", 16000, 3.0), ("rain_02.wav", 8000, 0.6)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(round(rate * seconds)), rate)
    return folder


@pytest.fixture
def setup_with():
    """Makes a setup of codecs that scores SI-SDR only, which takes no time."""

    def make(*coders, metrics=("si_sdr",), sources=None, **more):
        return Setup(coders, tuple(METRICS[name] for name in metrics), sources or Sources(), **more)

    return make


@pytest.fixture
def units(speech_folder):
    """Both recordings, clean, by one codec at two bitrates."""

    def make(codecs=1, bitrates=(1000.0, 2000.0), conditions=(CLEAN,)):
        work = tuple((number, rate) for number in range(codecs) for rate in bitrates)
        return [
            Unit(recording, condition, work)
            for recording in read_recordings(speech_folder)
            for condition in conditions
        ]

    return make


@pytest.fixture
def made_rows():
    """Makes a table of eight speakers with two files each, in three conditions, by a model and two peers.

    PESQ is 1 + the logarithm (base 2) of the bitrate in kbit/s, lower by 0.1 a speaker and in noise; the peer
    `late` needs twice the bits of `model`, and `far` is worse than `model` at four times the bits.
    """

    usual = (("clean", None), ("hum_20db", 20.0), ("hum_0db", 0.0))

    def make(change=lambda row: None, conditions=usual, metrics=()):
        made = []
        for speaker, take, (condition, snr_db) in product(range(8), range(2), conditions):
            for codec, shares, bitrates in CODECS:
                for bitrate in bitrates:
                    noise = {None: 0.0, 20.0: 0.1, 0.0: 0.7}[snr_db]
                    pesq = 1 + np.log2(bitrate / shares / 1000) - 0.1 * speaker - noise - 0.01 * take
                    row = {
                        "file": f"s{speaker}_{take}.wav",
                        "speaker": f"s{speaker}",
                        "language": "de" if speaker else "en",
                        "condition": condition,
                        "kind": "noise" if snr_db is not None else "clean",
                        "group": condition.split("_")[0],
                        "snr_db": snr_db,
                        "codec": codec,
                        "peer": codec != "model",
                        "nominal_bitrate": bitrate,
                        "bitrate": bitrate + 8,
                        "payload_bitrate": bitrate,
                        "pesq_wb_input": pesq,
                        "pesq_wb_clean": pesq - noise,
                        "encode_rtf": 0.1,
                        "decode_rtf": 0.2,
                        "errors": {},
                    }
                    change(row)
                    made.append(row)
        return to_frame(made, [METRICS[name] for name in metrics])

    return make
