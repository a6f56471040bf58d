"""The losses against numpy and librosa, and how they behave."""

import librosa
import numpy as np
import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.losses.intelligibility import IntelligibilityLoss
from audiocodec.losses.loudness import LoudnessLoss
from audiocodec.losses.reconstruction import (
    EXPONENT,
    MEL_FLOOR,
    RECONSTRUCTION_LOSSES,
    LossConfig,
    ReconstructionLoss,
    RefreshLoss,
    SpectralLoss,
    weighted_sum,
)

RATE = 16000
SPECTRAL = ("mel", "spectrum", "logspectrum")


def spectral(windows, bins, compressed, share=0.3, names=("mel", "spectrum")):
    config = LossConfig(windows, bins, compressed, log_windows=windows, complex_share=share)
    return SpectralLoss(config, RATE, names)


def independent(estimate, reference, windows, bins, compressed, complex_share):
    """The same two losses by librosa and numpy, from their definitions."""
    mel, spectrum = [], []
    for length, count in zip(windows, bins, strict=True):
        window = np.hanning(length + 1)[:-1]
        pair = [
            librosa.stft(wav, n_fft=length, hop_length=length // 4, window=window, pad_mode="constant")
            / np.sqrt(np.sum(window**2))
            for wav in (estimate.astype(np.float64), reference.astype(np.float64))
        ]
        bank = librosa.filters.mel(sr=RATE, n_fft=length, n_mels=count, htk=True, norm=None, dtype=np.float64)
        bank /= bank.sum(axis=1, keepdims=True)
        logs = [np.log(bank @ np.sqrt(np.abs(stft) ** 2 + 1e-8) + MEL_FLOOR) for stft in pair]
        mel.append(np.mean(np.abs(logs[0] - logs[1])))
        if length in compressed:
            powers = [np.abs(stft) ** 2 + 1e-8 for stft in pair]
            magnitudes = [power ** (EXPONENT / 2) for power in powers]
            values = [s * m / np.sqrt(p) for s, m, p in zip(pair, magnitudes, powers, strict=True)]
            complex_part = np.mean(np.abs(values[0] - values[1]) ** 2)
            magnitude_part = np.mean((magnitudes[0] - magnitudes[1]) ** 2)
            spectrum.append(complex_share * complex_part + (1 - complex_share) * magnitude_part)
    return np.mean(mel), np.mean(spectrum)


@pytest.mark.parametrize(
    ("windows", "bins", "compressed", "share"),
    [
        ((128,), (20,), (128,), 0.0),
        ((256, 1024), (40, 96), (1024,), 0.3),
        ((512, 2048), (64, 128), (512, 2048), 1.0),
    ],
)
def test_equals_an_independent_computation(voice, windows, bins, compressed, share):
    reference, estimate = voice(0.5, seed=1)[0], voice(0.5, seed=2)[0]
    losses = spectral(windows, bins, compressed, share)(
        torch.from_numpy(estimate)[None], torch.from_numpy(reference)[None]
    )
    mel, spectrum = independent(estimate, reference, windows, bins, compressed, share)
    assert float(losses["mel"]) == pytest.approx(mel, rel=2e-4)
    assert float(losses["spectrum"]) == pytest.approx(spectrum, rel=2e-4)


@pytest.fixture(scope="module")
def loss():
    return spectral((128, 512, 2048), (20, 64, 128), (512,), names=SPECTRAL)


def test_equal_signals_lose_nothing(voice, loss):
    wav = torch.from_numpy(voice(0.5))
    assert all(float(value) < 1e-12 for value in loss(wav, wav).values())


def test_falls_as_the_noise_falls(voice, loss):
    wav = torch.from_numpy(voice(1.0))
    noise = torch.randn(wav.shape, generator=torch.Generator().manual_seed(0)) * wav.std()
    for name in SPECTRAL:
        values = [float(loss(wav + noise * 10 ** (-snr / 20), wav)[name]) for snr in (0, 10, 20, 30, 40)]
        assert values == sorted(values, reverse=True)
        assert values[-1] < values[0] / 3


def test_phase_counts_by_the_complex_share_only(voice):
    wav = torch.from_numpy(voice(0.5))
    alone = [spectral((512,), (40,), (512,), share)(-wav, wav)["spectrum"] for share in (0.0, 1.0)]
    assert float(alone[0]) < 1e-9  # a flipped sign changes no magnitude
    assert float(alone[1]) > 0.1


@pytest.mark.parametrize("level", [0.0, 1e-8, 1e-3, 1.0])
def test_gradients_are_finite_even_in_silence(loss, level):
    estimate = (torch.randn(2, 4000, generator=torch.Generator().manual_seed(0)) * level).requires_grad_()
    sum(loss(estimate, torch.zeros(2, 4000)).values()).backward()
    assert bool(estimate.grad.isfinite().all())


def test_shorter_than_a_window(loss):
    losses = loss(torch.ones(1, 100), torch.zeros(1, 100))
    assert all(value.isfinite() for value in losses.values())


def test_too_many_bands_for_a_window():
    with pytest.raises(ConfigError, match=r"64 bands are too many for a window of 128 samples"):
        spectral((128,), (64,), ())


def test_weights_by_name():
    losses = {"mel": torch.tensor(2.0), "spectrum": torch.tensor(3.0), "commitment": torch.tensor(5.0)}
    assert float(weighted_sum(losses, {"mel": 4.0, "commitment": 0.5})) == 2 * 4 + 5 * 0.5


def test_what_has_a_weight_is_computed_and_nothing_else(voice):
    estimate, reference = (torch.from_numpy(voice(0.5, seed=seed)) for seed in (1, 2))
    separate = spectral((256, 1024), (40, 64), (256,), names=SPECTRAL)(estimate, reference)
    separate["waveform"] = (estimate - reference).abs().mean()
    separate["loudness"] = LoudnessLoss(RATE)(estimate, reference)
    separate["intelligibility"] = IntelligibilityLoss(RATE)(estimate, reference)
    for names in (("mel",), ("spectrum", "loudness"), ("waveform",), (), RECONSTRUCTION_LOSSES):
        weights = {**dict.fromkeys(RECONSTRUCTION_LOSSES, 0.0), **dict.fromkeys(names, 2.0)}
        config = LossConfig((256, 1024), (40, 64), (256,), (256, 1024), weights=weights)
        loss = ReconstructionLoss(config, RATE)
        losses = loss(estimate, reference)
        assert set(losses) == set(names)
        for name, value in losses.items():
            torch.testing.assert_close(value, separate[name])


def test_log_spectra_see_what_mel_bands_are_too_wide_for(voice):
    """Ripples of 200 Hz above 3 kHz, beside what a change of level costs."""
    wav = torch.from_numpy(voice(1.0))
    hz = torch.fft.rfftfreq(wav.shape[-1], 1 / RATE)
    spectrum = torch.fft.rfft(wav)
    ripple = 10 ** ((6 / 20) * torch.where(hz > 3000, torch.cos(2 * torch.pi * hz / 200), 0.0))
    rippled = torch.fft.irfft(spectrum * ripple, wav.shape[-1])
    loss = spectral((1024,), (64,), (), names=("mel", "logspectrum"))
    found, level = loss(rippled, wav), loss(2 * wav, wav)
    assert float(found["mel"] / level["mel"]) < 0.5 * float(found["logspectrum"] / level["logspectrum"])


@pytest.mark.parametrize("name", SPECTRAL)
def test_two_renderings_are_best_spread_like_the_original(name):
    """White noise against white noise: of the right level, not softer, and not twice the same."""
    draw = torch.Generator().manual_seed(0)
    target, one, two = torch.randn(3, 8, 8000, generator=draw).unbind()
    loss = spectral((256, 512), (20, 40), (256, 512), 0.0, names=(name,))
    values = {gain: float(loss(gain * torch.cat([one, two]), target)[name]) for gain in (0.6, 1.0, 1.6)}
    assert values[1.0] < values[0.6]
    assert values[1.0] < values[1.6]
    assert values[1.0] < 0.7 * float(loss(torch.cat([one, one]), target)[name])


def test_one_rendering_twice_is_one_rendering(voice):
    estimate, reference = (torch.from_numpy(voice(0.5, seed=seed)) for seed in (1, 2))
    loss = ReconstructionLoss(LossConfig(weights=dict.fromkeys(RECONSTRUCTION_LOSSES, 1.0)), RATE)
    once, twice = loss(estimate, reference), loss(torch.cat([estimate, estimate]), reference)
    for name in RECONSTRUCTION_LOSSES:
        torch.testing.assert_close(twice[name], once[name])


def test_the_refresh_loss_compares_magnitudes_of_whole_windows_and_loudness(voice):
    """By torch's own STFT: no padding, and a flipped sign costs nothing."""
    estimate, reference = (torch.from_numpy(voice(0.5, seed=seed)) for seed in (1, 2))
    loss, total = RefreshLoss(RATE, loudness_weight=0.0), torch.zeros(())
    for length in (256, 512, 1024):
        window = torch.hann_window(length)
        stft = torch.stft(
            torch.cat([estimate, reference]), length, length // 4, window=window, center=False,
            return_complex=True,
        )  # fmt: skip
        magnitude = (stft.abs().square() / window.square().sum() + 1e-8).sqrt().transpose(1, 2)
        logs = (magnitude @ getattr(loss.spectral, f"bank_{length}") + MEL_FLOOR).log()
        total += (logs[0] - logs[1]).abs().mean() / 3
        total += 2 * (magnitude[0] ** EXPONENT - magnitude[1] ** EXPONENT).square().mean() / 3
    torch.testing.assert_close(loss(estimate, reference), total)
    torch.testing.assert_close(loss(-estimate, reference), total)
    loudness = 0.5 * LoudnessLoss(RATE)(estimate, reference)
    torch.testing.assert_close(RefreshLoss(RATE, 0.5)(estimate, reference), total + loudness)
