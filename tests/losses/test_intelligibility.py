"""The intelligibility loss against STOI, and what it must not mind."""

import numpy as np
import pytest
import torch
from scipy.signal import butter, sosfilt

from audiocodec.codec import load
from audiocodec.errors import ConfigError
from audiocodec.losses.intelligibility import IntelligibilityLoss
from audiocodec.metrics import stoi

RATE = 16000


@pytest.fixture(scope="module")
def loss():
    return IntelligibilityLoss(RATE)


def value(loss, wav, estimate):
    return float(loss(torch.from_numpy(estimate.astype(np.float32))[None], torch.from_numpy(wav)[None]))


def test_is_one_minus_stoi(loss, speech, record_property):
    """Within 0.03: frames are longer by a part of a sample, and silence is weighed, not cut out."""
    codec, worst = load("speech-16k", device="cpu"), 0.0
    for seed, wav in enumerate(speech[:3]):
        noise = np.random.default_rng(seed).standard_normal(len(wav)) * wav.std()
        heard = [wav + noise * 10 ** (-snr / 20) for snr in (-5, 0, 10, 20)]
        heard += [sosfilt(butter(4, 1000, fs=RATE, output="sos"), wav)]
        heard += [codec.decompress(codec.compress(wav[None], RATE, b))[0][0, : len(wav)] for b in (500, 6000)]
        for estimate in heard:
            worst = max(worst, abs(1 - value(loss, wav, estimate) - stoi(wav, estimate, RATE)))
    record_property("worst", worst)
    assert worst < 0.03


def test_noise_in_pauses_is_heard_where_stoi_cuts_them_out(loss, speech, record_property):
    """A second voice moves the loss by up to 0.1 from 1 minus STOI, in the mean by a hundredth."""
    off = []
    for number, wav in enumerate(speech):
        other = np.resize(speech[number - 1], len(wav))
        for snr in (-10, -5, 0, 5, 10, 20):
            heard = wav + other * wav.std() / other.std() * 10 ** (-snr / 20)
            off.append(1 - value(loss, wav, heard) - stoi(wav, heard, RATE))
    record_property("worst", max(map(abs, off)))
    assert 0.03 < max(map(abs, off)) < 0.1
    assert abs(np.mean(off)) < 0.02


def test_equal_up_to_level_and_silence(loss, speech):
    wav = speech[0]
    assert value(loss, wav, wav) == pytest.approx(0, abs=1e-4)
    assert value(loss, wav, 0.1 * wav) == pytest.approx(0, abs=0.01)
    assert value(loss, wav, np.zeros_like(wav)) == pytest.approx(1, abs=0.01)
    assert np.isfinite(value(loss, np.zeros_like(wav), wav))


def test_level_of_both_does_not_count(loss, speech):
    wav = speech[0]
    noisy = wav + 0.1 * wav.std() * np.random.default_rng(0).standard_normal(len(wav)).astype(np.float32)
    assert value(loss, 0.01 * wav, 0.01 * noisy) == pytest.approx(value(loss, wav, noisy), abs=2e-3)


def test_gradient_is_right(speech):
    loss = IntelligibilityLoss(RATE).double()
    wav = torch.from_numpy(speech[0][4000:10400]).double()[None]
    estimate = (
        wav + 0.01 * torch.randn(1, 6400, generator=torch.Generator().manual_seed(0)).double()
    ).float()
    estimate = estimate.double().requires_grad_()
    direction = torch.randn(1, 6400, generator=torch.Generator().manual_seed(1)).double()
    loss(estimate, wav).backward()
    step = 1e-4
    with torch.no_grad():
        ahead, behind = (loss(estimate + sign * step * direction, wav) for sign in (1, -1))
    found = float((estimate.grad * direction).sum())
    assert found == pytest.approx(float(ahead - behind) / (2 * step), rel=0.05)


@pytest.mark.parametrize("samples", [1, 1000, 16000])
def test_short_sound_and_silence_have_finite_gradients(loss, samples):
    reference = torch.zeros(2, samples)
    reference[1] = 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(0))
    estimate = torch.zeros(2, samples, requires_grad=True)
    value = loss(estimate, reference)
    value.backward()
    assert bool(value.isfinite())
    assert bool(estimate.grad.isfinite().all())


def test_a_rate_too_low():
    with pytest.raises(ConfigError, match="from 10000 Hz on, not at 8000"):
        IntelligibilityLoss(8000)
