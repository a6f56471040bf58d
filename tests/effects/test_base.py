"""What holds for every effect: its drawn values are plain, equal seeds give equal samples, time stays put."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocodec import audio
from audiocodec.effects import EFFECTS, Sources, build_effect
from audiocodec.effects.base import draw_range
from audiocodec.effects.filters import BandLimit
from audiocodec.errors import ConfigError, InputError

FILE = Path(__file__).parents[1] / "data" / "ls_2033_001.flac"
RATE = 16000
SPECS = [{"kind": kind} for kind in EFFECTS if kind != "tandem"] + [
    {"kind": "tandem", "codecs": ["gsm"]},
    {"kind": "noise", "pool": "music"},
    {"kind": "packet_loss", "fill": "conceal"},
    {"kind": "clipping", "shapes": ["soft"]},
    {"kind": "bandlimit", "low_hz": 300, "high_hz": 3400},
]


def draw(effect, sources, seed=0, length=2 * RATE, rate=RATE):
    return effect.draw(np.random.default_rng(seed), length, rate, sources, "s0")


def test_a_log_line_is_enough_to_repeat_it(subtests, sources, sound_folder, speech):
    for spec in SPECS:
        with subtests.test(str(spec)):
            effect = build_effect(spec)
            drawn = draw(effect, sources)
            line = json.dumps(drawn)
            assert json.loads(line) == drawn
            first = effect.apply(speech, RATE, drawn, sources)
            again = effect.apply(
                speech, RATE, json.loads(line), Sources.open([sound_folder / "manifest.csv"])
            )
            np.testing.assert_array_equal(first, again)


def test_equal_seeds_draw_equal_values(subtests, sources, sound_folder):
    for spec in SPECS:
        with subtests.test(str(spec)):
            effect = build_effect(spec)
            other = Sources.open([sound_folder / "manifest.csv"])
            assert draw(effect, sources, 3) == draw(effect, other, 3)
            if effect.kind not in ("room", "tandem") and effect != BandLimit(300.0, 3400.0):
                assert draw(effect, sources, 3) != draw(effect, sources, 4)


def test_length_type_and_input_stay(subtests, sources, speech):
    for spec, rate, length in product(SPECS, (8000, 24000, 44100, 48000), (399, 12000)):
        with subtests.test(f"{spec}, {length} samples at {rate} Hz"):
            effect = build_effect(spec)
            wav = audio.resample(speech[None], RATE, rate)[0][3000:][:length].copy()
            before = wav.copy()
            out = effect.apply(wav, rate, draw(effect, sources, length=length, rate=rate), sources)
            assert out.shape == wav.shape
            assert out.dtype == np.float32
            assert np.isfinite(out).all()
            assert not np.shares_memory(out, wav)
            np.testing.assert_array_equal(wav, before)


def test_sound_stays_where_it_is_in_time(subtests, sources):
    for spec in SPECS:
        with subtests.test(str(spec)):
            effect = build_effect(spec)
            wav = soundfile.read(FILE)[0][8000:40000].astype(np.float32)
            out = effect.apply(wav, RATE, draw(effect, sources, length=len(wav)), sources)
            lags = np.arange(-400, 401)
            likeness = np.correlate(np.pad(out, 400), wav, "valid")
            assert abs(lags[np.argmax(likeness)]) <= (2 if effect.kind == "room" else 0)


def test_no_number_is_refused(subtests, sources, speech):
    for spec, value in product(SPECS, (np.nan, np.inf, -np.inf)):
        with subtests.test(f"{spec}, {value}"):
            effect = build_effect(spec)
            wav = speech.copy()
            wav[100] = value
            with pytest.raises(InputError, match=r"not a finite number.*0\.006 s"):
                effect.apply(wav, RATE, draw(effect, sources), sources)


def test_another_shape_is_refused(subtests, sources):
    for spec, shape in product(SPECS, ((1, 100), (0,))):
        with subtests.test(f"{spec}, {shape}"):
            effect, wav = build_effect(spec), np.zeros(shape, np.float32)
            with pytest.raises(InputError, match="one channel"):
                effect.apply(wav, RATE, draw(effect, sources), sources)


def test_silence_is_silence_or_an_error(subtests, sources):
    for spec in SPECS:
        with subtests.test(str(spec)):
            effect = build_effect(spec)
            wav = np.zeros(8000, np.float32)
            drawn = draw(effect, sources, length=8000)
            if "snr_db" in drawn:
                with pytest.raises(InputError, match=r"silent.*SNR is not defined"):
                    effect.apply(wav, RATE, drawn, sources)
            elif drawn.get("codec") != "gsm":  # its comfort is a little noise
                assert not effect.apply(wav, RATE, drawn, sources).any()


def test_strength_is_drawn_first(sources):
    for kind in ("noise", "babble", "colored_noise"):
        quiet, loud = (draw(build_effect({"kind": kind, "snr_db": snr}), sources, 7) for snr in (20, [0, 5]))
        assert quiet.pop("snr_db") == 20
        assert 0 <= loud.pop("snr_db") <= 5
        assert quiet == loud


@pytest.mark.parametrize("probability", [-0.1, 1.5])
def test_probability_is_checked(probability):
    with pytest.raises(ConfigError, match="probability"):
        build_effect({"kind": "gain", "probability": probability})


def test_draw_range():
    rng = np.random.default_rng(0)
    values = [draw_range(rng, (100.0, 10000.0), log=True) for _ in range(2000)]
    assert 100 <= min(values) < max(values) <= 10000
    assert np.median(values) == pytest.approx(1000, rel=0.2)
    assert draw_range(rng, 3.0) == 3.0
