import math
import sys

import numpy as np
import pytest
import scipy.signal

from audiocodec.errors import MetricError, MissingPackageError
from audiocodec.metrics import loudness_change, si_sdr

RATE = 16000
LOUDNESS_RATE = 48000
TIME = np.arange(2 * LOUDNESS_RATE) / LOUDNESS_RATE


@pytest.mark.parametrize("decibels", [-10.0, 0.0, 20.0])
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (-3.0, 0.0), (0.1, 0.7)])
def test_known_ratio_whatever_the_scale(decibels, scale, offset):
    time = np.arange(RATE) / RATE
    signal, noise = np.sin(2 * np.pi * 100 * time), np.sin(2 * np.pi * 300 * time)  # orthogonal, zero mean
    estimate = scale * (signal + 10 ** (-decibels / 20) * noise) + offset
    assert si_sdr(signal, estimate, RATE) == pytest.approx(decibels, abs=1e-9)


def test_identity_is_infinite(speech):
    assert si_sdr(speech[0], 2 * speech[0], RATE) == math.inf


def test_falls_with_noise(speech):
    clean, noisy = speech
    expected = 10 * np.log10(np.var(clean) / np.var(noisy - clean))
    assert si_sdr(clean, noisy, RATE) == pytest.approx(expected, abs=0.1)


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
        sum(20 * np.log10(np.abs(scipy.signal.freqz(b, a, [f], fs=LOUDNESS_RATE)[1][0])) for b, a in stages)
        for f in (997.0, hz)
    ]
    assert loudness_change(tone(997.0), tone(hz), LOUDNESS_RATE) == pytest.approx(
        gains[1] - gains[0], abs=0.05
    )


def test_a_pause_does_not_count():
    long, paused = np.tile(tone(440.0), 2), np.r_[tone(440.0), np.zeros(2 * LOUDNESS_RATE)]
    assert loudness_change(long, paused, LOUDNESS_RATE) == pytest.approx(0, abs=0.4)  # 3 LU by energy alone


def test_almost_silent():
    with pytest.raises(MetricError, match="estimate stays below -70 LUFS"):
        loudness_change(tone(440.0), tone(440.0) * 1e-4, LOUDNESS_RATE)


def test_pyloudnorm_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyloudnorm", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'audiocodec\[evaluate\]'"):
        loudness_change(tone(440.0), tone(440.0), LOUDNESS_RATE)
