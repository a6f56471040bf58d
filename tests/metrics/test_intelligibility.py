import numpy as np
import pystoi
import pytest
import soxr

from audiocodec.errors import MetricError
from audiocodec.metrics import estoi, stoi

RATE = 16000


@pytest.mark.parametrize(("metric", "extended"), [(stoi, False), (estoi, True)])
def test_equal_to_the_library(metric, extended, speech):
    expected = pystoi.stoi(*speech, RATE, extended=extended)
    assert metric(*speech, RATE) == pytest.approx(expected, abs=1e-6)
    assert metric(speech[0], speech[0], RATE) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_other_rates_are_resampled(metric, speech):
    fast = [soxr.resample(wav, RATE, 44100, "VHQ") for wav in speech]
    assert metric(*fast, 44100) == pytest.approx(metric(*speech, RATE), abs=0.005)


@pytest.mark.parametrize("metric", [stoi, estoi])
def test_a_short_sound_in_silence_has_no_score(metric):
    wav = np.zeros(2 * RATE)
    wav[:2000] = np.random.default_rng(0).standard_normal(2000)
    with pytest.raises(MetricError, match="not silent"):
        metric(wav, wav, RATE)
