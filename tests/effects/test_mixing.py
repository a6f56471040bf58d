import math

import numpy as np
import pytest
import soundfile

from audiocodec.audio.levels import active_level
from audiocodec.effects import Sources
from audiocodec.effects.mixing import add_at_snr, draw_excerpt
from audiocodec.effects.sources import find_sources
from audiocodec.errors import InputError

RATE = 16000


@pytest.mark.parametrize("snr_db", [-5, 0, 7.3, 20])
def test_the_snr_is_hit(speech, snr_db):
    noise = np.random.default_rng(1).standard_normal(len(speech)).astype(np.float32) * 0.02
    added = add_at_snr(speech, noise, snr_db, RATE) - speech
    power = 10 * math.log10(np.mean(np.square(added, dtype=np.float64)))
    assert active_level(speech, RATE).level_db - power == pytest.approx(snr_db, abs=0.01)


@pytest.mark.parametrize("snr_db", [0, 15])
def test_over_active_speech_however_long_the_pauses(speech, snr_db):
    noise = np.random.default_rng(1).standard_normal(3 * len(speech)).astype(np.float32)
    tone = 0.1 * np.sin(np.arange(len(speech)) * 0.3).astype(np.float32)
    wav = np.concatenate([np.zeros_like(tone), tone, np.zeros_like(tone)])
    added = add_at_snr(wav, noise, snr_db, RATE) - wav
    frames = np.abs(wav) > 0
    ratio = 10 * np.log10(np.mean(wav[frames] ** 2) / np.mean(added[frames] ** 2))
    # P.56 counts 0.2 s, and the time its envelope takes to fall, after 2 s of tone as speech: 0.56 dB.
    assert ratio - snr_db == pytest.approx(0.56, abs=0.05)


def test_silence_has_no_snr(speech):
    with pytest.raises(InputError, match=r"speech is silent over its 2\.00 s"):
        add_at_snr(np.zeros_like(speech), speech, 10, RATE)
    with pytest.raises(InputError, match="noise is silent"):
        add_at_snr(speech, np.zeros_like(speech), 10, RATE)


def test_silent_excerpts_are_drawn_again(tmp_path):
    wav = np.zeros(20 * RATE)
    wav[-5 * RATE :] = 0.1 * np.random.default_rng(0).standard_normal(5 * RATE)
    soundfile.write(tmp_path / "mostly_silent.wav", wav, RATE)
    sources = Sources(find_sources(tmp_path, "noise"))
    rng = np.random.default_rng(0)
    clips = sources.find("noise")
    starts = [draw_excerpt(rng, clips, sources, RATE, 4 * RATE)[1] for _ in range(30)]
    assert min(starts) > 11 * RATE - 10
    wav[:] = 0
    wav[-1] = 1e-3
    soundfile.write(tmp_path / "mostly_silent.wav", wav, RATE, "FLOAT")
    sources = Sources(clips)
    with pytest.raises(InputError, match="below -60 dB"):
        draw_excerpt(rng, clips, sources, RATE, RATE)
