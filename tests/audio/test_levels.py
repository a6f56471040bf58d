import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiocodec.audio.levels import active_level, rms_db

DATA = Path(__file__).parents[1] / "data"
RATE = 16000


def by_the_recommendation(wav, rate):
    """P.56 method B sample by sample, as its clause 9 is written; bisection between thresholds."""
    g, hang, margin = math.exp(-1 / (rate * 0.03)), math.ceil(0.2 * rate), 15.9
    thresholds = [2.0**-j for j in range(16, 0, -1)]
    counts, hangs = [0] * 16, [hang] * 16
    p = q = sq = 0.0
    for x in map(float, wav):
        sq += x * x
        p = g * p + (1 - g) * abs(x)
        q = g * q + (1 - g) * p
        for j, threshold in enumerate(thresholds):
            if q >= threshold:
                counts[j], hangs[j] = counts[j] + 1, 0
            elif hangs[j] < hang:
                counts[j], hangs[j] = counts[j] + 1, hangs[j] + 1
    a = [10 * math.log10(sq / max(count, 1)) for count in counts]
    c = [20 * math.log10(threshold) for threshold in thresholds]
    for j in range(15):
        if counts[j + 1] and a[j] - c[j] >= margin > a[j + 1] - c[j + 1]:
            low, high = (a[j], c[j]), (a[j + 1], c[j + 1])
            for _ in range(60):
                middle = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
                low, high = (middle, high) if middle[0] - middle[1] >= margin else (low, middle)
            return low[0], sq / len(wav) / 10 ** (low[0] / 10)
    raise AssertionError("no threshold fits")


@pytest.mark.parametrize("gain", [1.0, 0.03, 0.002])
def test_it_is_p56(voice, gain):
    speech = soundfile.read(DATA / "ls_2033_001.flac", stop=40000)[0]
    padded = np.pad(voice(1.0)[0], (RATE, RATE // 2))
    for wav, rate in ((speech, RATE), (voice(2.0, 8000)[0], 8000), (padded, RATE)):
        level, activity = by_the_recommendation(wav * gain, rate)
        found = active_level(wav * gain, rate)
        assert found.level_db == pytest.approx(level, abs=1e-6)
        assert found.activity == pytest.approx(activity, abs=1e-6)


def test_pauses_do_not_count():
    time = np.arange(4 * RATE) / RATE
    tone = np.sin(2 * np.pi * 500 * time) * 0.2
    pulsed = tone * (time % 2 < 1)  # each second of sound is active for its hangover longer
    found = active_level(pulsed, RATE)
    assert rms_db(tone) - rms_db(pulsed) == pytest.approx(3.01, abs=0.01)
    assert 0.55 < found.activity < 0.68
    assert rms_db(pulsed) - 10 * math.log10(found.activity) == pytest.approx(found.level_db)
    assert active_level(tone, RATE).level_db == pytest.approx(rms_db(tone), abs=0.05)


def test_level_follows_gain(voice):
    wav = voice(3.0)[0]
    assert active_level(wav * 0.1, RATE).level_db == pytest.approx(
        active_level(wav, RATE).level_db - 20, abs=0.3
    )


@pytest.mark.parametrize("wav", [np.zeros(8000), np.full(8000, 1e-6), np.zeros(0)])
def test_silence(wav):
    found = active_level(wav, RATE)
    assert found.silent
    assert found.level_db == -math.inf


def test_rms():
    assert rms_db(np.ones(10)) == 0.0
    assert rms_db(np.zeros(10)) == -math.inf
