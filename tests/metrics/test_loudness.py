import sys

import numpy as np
import pytest
import scipy.signal

from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import loudness_change

RATE = 48000
TIME = np.arange(2 * RATE) / RATE


def tone(hz):
    return 0.1 * np.sin(2 * np.pi * hz * TIME)


@pytest.mark.parametrize("decibels", [-12.0, 0.0, 3.0])
def test_a_gain_is_its_decibels(decibels, speech):
    assert loudness_change(speech[0], speech[0] * 10 ** (decibels / 20), 16000) == pytest.approx(decibels)


@pytest.mark.parametrize("hz", [60.0, 4000.0])
def test_weighting_is_that_of_the_standard(hz):
    # ITU-R BS.1770-4, tables 1 and 2: both filters at 48 kHz.
    stages = [
        ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585]),
        ([1.0, -2.0, 1.0], [1, -1.99004745483398, 0.99007225036621]),
    ]
    gains = [
        sum(20 * np.log10(np.abs(scipy.signal.freqz(b, a, [f], fs=RATE)[1][0])) for b, a in stages)
        for f in (997.0, hz)
    ]
    assert loudness_change(tone(997.0), tone(hz), RATE) == pytest.approx(gains[1] - gains[0], abs=0.05)


def test_a_pause_does_not_count():
    long, paused = np.tile(tone(440.0), 2), np.r_[tone(440.0), np.zeros(2 * RATE)]
    assert loudness_change(long, paused, RATE) == pytest.approx(0, abs=0.4)  # 3 LU by energy alone


def test_almost_silent():
    with pytest.raises(MetricError, match="estimate stays below -70 LUFS"):
        loudness_change(tone(440.0), tone(440.0) * 1e-4, RATE)


def test_package_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyloudnorm", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'audiocodec\[evaluate\]'"):
        loudness_change(tone(440.0), tone(440.0), RATE)
