import numpy as np
import pytest

from audiocodec.audio.arrays import as_channels, as_samples
from audiocodec.errors import InputError


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
