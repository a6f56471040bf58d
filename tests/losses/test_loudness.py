"""The loudness loss against PESQ, and its parts against known values of hearing."""

import numpy as np
import pytest
import torch
from pesq import pesq
from scipy.signal import butter, resample_poly, sosfilt
from scipy.stats import spearmanr

from audiocodec.codec import load
from audiocodec.errors import ConfigError
from audiocodec.losses import loudness
from audiocodec.losses.loudness import LoudnessLoss

RATE = 16000


@pytest.fixture(scope="module")
def loss():
    return LoudnessLoss(RATE)


@pytest.fixture(scope="module")
def speech(speech):
    return [wav[: 5 * RATE // 2] for wav in speech]


def distorted(wav, seed):
    """(kind, wav) of white noise, low-pass filters, clipping and coding."""
    noise = np.random.default_rng(seed).standard_normal(len(wav)) * wav.std()
    yield from (("noise", wav + noise * 10 ** (-snr / 20)) for snr in (0, 10, 20, 30, 40))
    yield from (
        ("lowpass", sosfilt(butter(8, hz, fs=RATE, output="sos"), wav)) for hz in (1500, 2500, 4000, 6000)
    )
    yield from (("clipping", wav.clip(-m, m)) for m in (np.abs(wav).max() * np.array([0.05, 0.1, 0.2, 0.4])))
    codec = load("speech-16k", device="cpu")
    for bitrate in (500, 1500, 3000, 6000, 8000):
        yield "codec", codec.decompress(codec.compress(wav[None], RATE, bitrate))[0][0, : len(wav)]


def test_ranks_distortions_as_pesq_does(loss, speech):
    rows = []
    for seed, wav in enumerate(speech[:3]):
        for kind, degraded in distorted(wav, seed):
            degraded = degraded.astype(np.float32)
            value = float(loss(torch.from_numpy(degraded)[None], torch.from_numpy(wav)[None]))
            rows.append((kind, value, pesq(RATE, wav, degraded, "wb")))
    for kind in ("all", "noise", "lowpass", "clipping", "codec"):
        _, values, scores = zip(*[row for row in rows if kind in ("all", row[0])], strict=True)
        correlation = float(spearmanr(values, scores).statistic)
        print(f"{kind}: Spearman {correlation:.3f} over {len(values)} clips")
        assert correlation < -0.8, kind


def test_equal_signals_lose_nothing(loss, speech):
    wav = torch.from_numpy(np.stack(speech))
    assert float(loss(wav, wav)) < 1e-3


def test_level_does_not_count(loss, speech):
    wav = torch.from_numpy(speech[0])[None]
    noisy = wav + 0.01 * torch.randn(wav.shape, generator=torch.Generator().manual_seed(0))
    assert float(loss(0.3 * noisy, wav)) == pytest.approx(float(loss(noisy, wav)), rel=0.01)
    assert float(loss(0.3 * wav, wav)) < 0.01


def test_what_is_added_counts_more_than_what_is_missing(loss, speech):
    wav = torch.from_numpy(speech[0])[None]
    spectrum = torch.fft.rfft(wav)
    spectrum[:, spectrum.shape[1] // 2 :] = 0
    low = torch.fft.irfft(spectrum, wav.shape[1])
    assert float(loss(low, wav)) < float(loss(wav, low))


def test_a_hum_below_speech_does_not_count(loss, speech):
    """It is strong, but would be heard little, and must not leak into the bands above."""
    wav = torch.from_numpy(speech[0])[None]
    hum = 0.02 * torch.sin(2 * torch.pi * 18 * torch.arange(wav.shape[1]) / RATE)
    assert float(loss(wav + hum, wav)) < 0.1


def test_a_mean_over_examples(loss, speech):
    wav = torch.from_numpy(np.stack(speech[:2]))
    noisy = wav + 0.01 * torch.randn(wav.shape, generator=torch.Generator().manual_seed(0))
    apart = [float(loss(noisy[i : i + 1], wav[i : i + 1])) for i in range(2)]
    assert float(loss(noisy, wav)) == pytest.approx(np.mean(apart), rel=1e-4)


@pytest.mark.parametrize("rate", [8000, 24000, 44100])
def test_the_same_at_other_sample_rates(rate, loss, speech):
    """Of sound below 3.4 kHz, which all rates can hold."""
    wav = sosfilt(butter(10, 3400, fs=RATE, output="sos"), speech[0])
    noise = np.random.default_rng(0).standard_normal(len(wav)) * 0.003
    noisy = wav + sosfilt(butter(10, 3400, fs=RATE, output="sos"), noise)
    there = [torch.from_numpy(resample_poly(x, rate, RATE).astype(np.float32))[None] for x in (noisy, wav)]
    here = [torch.from_numpy(x.astype(np.float32))[None] for x in (noisy, wav)]
    assert float(LoudnessLoss(rate)(*there)) == pytest.approx(float(loss(*here)), rel=0.1)


@pytest.mark.parametrize("level", [0.0, 1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("quiet_reference", [True, False])
def test_gradients_are_finite_even_in_silence(loss, level, quiet_reference):
    generator = torch.Generator().manual_seed(0)
    estimate = (torch.randn(2, 4000, generator=generator) * level).requires_grad_()
    reference = torch.zeros(2, 4000) if quiet_reference else 0.1 * torch.randn(2, 4000, generator=generator)
    loss(estimate, reference).backward()
    assert bool(estimate.grad.isfinite().all())


@pytest.mark.parametrize("length", [1, 100, 511, 513, 5000, 5700])
def test_any_length(loss, length):
    assert 0 <= float(loss(torch.ones(1, length), torch.zeros(1, length))) < 6


def test_descending_the_gradient_raises_pesq(loss, speech):
    wav = speech[0][: 2 * RATE]
    noisy = wav + np.random.default_rng(0).standard_normal(len(wav)).astype(np.float32) * wav.std() * 0.1
    reference, estimate = torch.from_numpy(wav)[None], torch.tensor(noisy)[None].requires_grad_()
    optimizer = torch.optim.Adam([estimate], 2e-4)
    for _ in range(25):
        optimizer.zero_grad()
        loss(estimate, reference).backward()
        optimizer.step()
    before, after = pesq(RATE, wav, noisy, "wb"), pesq(RATE, wav, estimate.detach()[0].numpy(), "wb")
    assert after > before + 0.3


def test_a_tone_of_40_db_at_1_khz_has_one_sone(loss):
    """P.862's calibration: amplitude 29.54 in 16-bit units, without its gains of level and input filter."""
    tone = 29.54 * torch.sin(2 * torch.pi * 1000 * torch.arange(2048) / RATE)
    stft = torch.stft(
        tone, loss.length, loss.length // 2, window=loss.window, center=False, return_complex=True
    )
    power = stft.abs().square().mean(dim=1) @ loss.bank
    assert float(power.max()) == pytest.approx(1e4, rel=0.15)
    assert float((loss._loudness(power) * loss.widths).sum()) == pytest.approx(1.0, rel=0.15)


def test_bands_cover_hearing_once():
    """49 bands up to 8 kHz, 42 up to 4 kHz, as in P.862; every frequency has the same weight by Hz in all."""
    for highest, count in ((8000.0, 49), (4000.0, 42)):
        edges = loudness.band_edges(highest)
        assert abs(len(edges) - 1 - count) <= 1
        assert float(edges[0]) == 0
        assert float(loudness.to_hz(edges[-1])) == pytest.approx(highest, rel=1e-3)
    frequencies = torch.arange(257, dtype=torch.float64) * 31.25
    edges = loudness.band_edges(8000.0)
    shares = (loudness.band_bank(frequencies, edges, RATE) * (edges[1:] - edges[:-1])).sum(dim=1)
    torch.testing.assert_close(shares[1:-1] / shares[10], torch.ones(255, dtype=torch.float64))


def test_bark_scale_of_zwicker():
    """Edges of critical bands in Zwicker's table: 100 Hz is 1 Bark, 1080 is 9, 3150 is 16, 7700 is 21."""
    hz = torch.tensor([100.0, 1080.0, 3150.0, 7700.0])
    torch.testing.assert_close(loudness.to_bark(hz), torch.tensor([1.0, 9.0, 16.0, 21.0]), rtol=0, atol=0.2)
    torch.testing.assert_close(loudness.to_hz(loudness.to_bark(hz)), hz, rtol=1e-4, atol=0.05)


def test_refuses_telephone_rates_below_8_khz():
    with pytest.raises(ConfigError, match="from 8000 Hz on, not at 4000"):
        LoudnessLoss(4000)
