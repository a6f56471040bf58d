import math

import numpy as np
import pytest

from audiocodec.metrics import si_sdr

RATE = 16000


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
