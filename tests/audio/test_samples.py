import numpy as np
import pytest

from audiocodec.audio import check_sample_rate, check_samples
from audiocodec.errors import InputError, SampleRateError


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_samples_are_located(value):
    wav = np.zeros((2, 1000), np.float32)
    wav[1, 250] = value
    wav[0, 900] = value
    with pytest.raises(InputError, match=r"NaN or infinity\) at 0\.250 s"):
        check_samples(wav, 1000)
    with pytest.raises(InputError, match=r"at 1\.250 s"):
        check_samples(wav, 1000, start=1000)
    with pytest.raises(InputError, match="at sample 250"):
        check_samples(wav)


def test_unscaled_samples_are_refused_and_loud_ones_are_not():
    check_samples(np.array([[0.0, 1.5, -20.0]], np.float32))
    check_samples(np.zeros((1, 0), np.float32))
    with pytest.raises(InputError, match=r"32768 at sample 1.*divide"):
        check_samples(np.array([[0.0, -32768.0]], np.float32))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 192000])
def test_supported_rates(rate):
    assert check_sample_rate(rate) == rate


@pytest.mark.parametrize("rate", [0, -1, 7999, 192001, 16000.5])
def test_other_rates_are_refused(rate):
    with pytest.raises(SampleRateError, match=r"8000 to 192000"):
        check_sample_rate(rate)
