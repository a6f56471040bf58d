import numpy as np
import pytest

from audiocodec.audio import check_sample_rate, check_samples, mono
from audiocodec.audio.samples import as_channels, as_samples
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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array([-128, 64], np.int8), [-1.0, 0.5]),
        (np.array([-32768, 16384], np.int16), [-1.0, 0.5]),
        (np.array([-(2**31), 2**30], np.int32), [-1.0, 0.5]),
        (np.array([-1.0, 0.5], np.float16), [-1.0, 0.5]),
        (np.array([-1.0, 0.5], np.float64), [-1.0, 0.5]),
        ([-1.0, 0.5], [-1.0, 0.5]),
    ],
)
def test_types(given, expected):
    samples = as_samples(given)
    assert samples.dtype == np.float32
    assert samples.tolist() == expected


def test_float32_is_not_copied():
    wav = np.zeros((2, 100), np.float32)
    assert as_samples(wav) is wav


def test_tensors():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        assert as_samples(torch.tensor([-1.0, 0.5], dtype=dtype, requires_grad=True)).tolist() == [-1.0, 0.5]
    assert as_samples(torch.tensor([-32768, 16384], dtype=torch.int16)).tolist() == [-1.0, 0.5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300, 4000.0])
def test_values(bad):
    with pytest.raises(InputError, match=r"at 1\.125 s"):
        as_samples(np.array([0.0, bad]), 8000, 8999)


@pytest.mark.parametrize("given", [np.zeros(3, np.int64), np.zeros(3, bool), "text", None, object()])
def test_what_is_no_audio(given):
    with pytest.raises(InputError, match="samples of type"):
        as_samples(given)


def test_channels():
    assert as_channels(np.zeros(5)).shape == (1, 5)
    assert as_channels(np.zeros((64, 5))).shape == (64, 5)
    for shape in ((65, 5), (0, 5), (1, 2, 3), ()):
        with pytest.raises(InputError, match="shape"):
            as_channels(np.zeros(shape))


@pytest.fixture
def wav():
    return (np.random.default_rng(0).standard_normal((1, 1000)) * 0.1).astype(np.float32)


def mixed(wav, length=100):
    parts = [wav[:, start : start + length] for start in range(0, wav.shape[1], length)]
    return np.concatenate(list(mono(parts, "a.wav")), axis=1)


def test_the_mean_of_the_channels(wav):
    np.testing.assert_array_equal(mixed(wav), wav)
    np.testing.assert_allclose(mixed(np.concatenate([wav, 0 * wav])), wav / 2, atol=1e-7)
    np.testing.assert_array_equal(mixed(0 * wav), 0 * wav)


@pytest.mark.parametrize("step", [0.0, 2**-15])
def test_channels_that_cancel_each_other_are_not_silence(wav, step):
    """Exactly, or but for the last bit."""
    dither = (step * np.random.default_rng(1).integers(-1, 2, wav.shape)).astype(np.float32)
    with pytest.raises(InputError, match=r"a\.wav: its channels cancel each other .*; invert one"):
        mixed(np.concatenate([wav, dither - wav]))


def test_a_part_may_cancel(wav):
    both = np.concatenate([wav, np.where(np.arange(1000) < 900, -wav, wav)])
    assert mixed(both).shape == (1, 1000)
