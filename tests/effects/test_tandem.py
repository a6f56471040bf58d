import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocodec import audio
from audiocodec.effects import Sources, build_effect
from audiocodec.effects.tandem import FORMATS, align
from audiocodec.errors import MissingPackageError

FILE = Path(__file__).parents[1] / "data" / "ls_2033_001.flac"


def through(codec, rate, bitrate=None, seed=0):
    wav, file_rate = soundfile.read(FILE, stop=32000, dtype="float32")
    wav = audio.resample(wav[None], file_rate, rate)[0]
    effect = build_effect({"kind": "tandem", "codecs": [codec], "bitrate": bitrate})
    drawn = effect.draw(np.random.default_rng(seed), len(wav), rate, Sources())
    return wav, effect.apply(wav, rate, drawn, Sources()), drawn


def available(codec):
    if FORMATS[codec].container:
        av = pytest.importorskip("av")
        try:
            av.codec.Codec(FORMATS[codec].encoder, "w")
        except ValueError:
            pytest.skip(f"this PyAV has no {codec}")


# Signal to noise of speech through each codec, dB; a shift by one sample or a wrong level would be far below.
@pytest.mark.parametrize(
    ("codec", "rate", "least"),
    [
        ("mp3", 16000, 15),
        ("mp3", 8000, 15),
        ("opus", 24000, 8),
        ("opus", 16000, 8),
        ("aac", 16000, 10),
        ("amr_nb", 8000, 2),
        ("g722", 16000, 20),
        ("gsm", 8000, 8),
        ("gsm", 48000, 8),
        ("mulaw", 8000, 30),
        ("alaw", 16000, 14),
    ],
)
def test_it_is_the_same_speech_at_the_same_place(codec, rate, least):
    available(codec)
    wav, heard, _ = through(codec, rate)
    power = np.sum(wav**2)
    found = [power / np.sum((wav - np.roll(heard, shift)) ** 2) for shift in (-1, 0, 1)]
    assert np.argmax(found) == 1
    assert 10 * np.log10(found[1]) > least
    assert np.any(heard != wav)


def test_more_bits_are_nearer():
    available("opus")
    errors = []
    for bitrate in (8000, 16000, 48000):
        wav, heard, drawn = through("opus", 16000, bitrate)
        assert drawn["bitrate"] == bitrate
        errors.append(np.sum((wav - heard) ** 2))
    assert errors[0] > errors[1] > errors[2]


def test_bit_rates_are_steps_of_the_codec():
    effect = build_effect({"kind": "tandem", "codecs": ["amr_nb", "mp3", "gsm"]})
    rng = np.random.default_rng(0)
    drawn = [effect.draw(rng, 1, 8000, Sources()) for _ in range(200)]
    for codec in ("amr_nb", "mp3"):
        assert {d["bitrate"] for d in drawn if d["codec"] == codec} <= set(FORMATS[codec].ladder)
    assert {d["bitrate"] for d in drawn if d["codec"] == "gsm"} == {None}


@pytest.mark.parametrize("delay", [-70, 0, 33, 120])
def test_align(speech, delay):
    shifted = np.concatenate([np.zeros(200, np.float32), speech, np.zeros(200, np.float32)])[200 - delay :]
    aligned = align(shifted, speech, 150)
    kept = slice(max(0, -delay), len(speech))
    np.testing.assert_array_equal(aligned[kept], speech[kept])
    assert len(align(shifted[:1000], speech, 150)) == len(speech)


def test_what_is_missing_is_named(monkeypatch, speech):
    effect = build_effect({"kind": "tandem", "codecs": ["opus"]})
    drawn = effect.draw(np.random.default_rng(0), len(speech), 16000, Sources())
    av = pytest.importorskip("av")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "av", None)
        with pytest.raises(MissingPackageError, match=r"audiocodec\[peers\]"):
            effect.apply(speech, 16000, drawn, Sources())

    def refuse(name, mode):
        raise ValueError(name)

    monkeypatch.setattr(av.codec, "Codec", refuse)
    with pytest.raises(MissingPackageError, match="no encoder libopus for opus: leave opus out"):
        effect.apply(speech, 16000, drawn, Sources())
