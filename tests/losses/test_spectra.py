"""Spectra against torch's own, their gradients against autograd and against differences."""

import pytest
import torch
import torch.nn.functional as F

from audiocodec.losses import spectra
from audiocodec.losses.reconstruction import EXPONENT, MEL_FLOOR, LossConfig, SpectralLoss

generator = torch.Generator()


@pytest.fixture(autouse=True)
def _seed():
    generator.manual_seed(0)


def noise(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=generator, dtype=dtype)


def by_torch(wav, window, hop_length):
    stft = torch.stft(wav, len(window), hop_length, window=window, center=False, return_complex=True)
    return torch.view_as_real(stft).permute(0, 3, 2, 1)


@pytest.mark.parametrize(
    ("samples", "length", "hop_length"),
    [(64, 16, 4), (61, 16, 8), (70, 18, 4), (16, 16, 4), (30, 12, 12), (50, 8, 11), (9, 2, 1)],
)
def test_a_spectrum_and_its_gradient_are_those_of_torch(samples, length, hop_length):
    wav, window = noise(2, samples).requires_grad_(), noise(length).abs()
    found, wanted = spectra.spectrum(wav, window, hop_length), by_torch(wav, window, hop_length)
    torch.testing.assert_close(found, wanted)
    weights = noise(*wanted.shape)
    gradients = [torch.autograd.grad((weights * values).sum(), wav)[0] for values in (found, wanted)]
    torch.testing.assert_close(*gradients)


def test_gradients_are_those_of_differences():
    values = noise(1, 2, 3, 4).requires_grad_()
    magnitude = noise(1, 3, 4).abs().add(0.1).requires_grad_()
    assert torch.autograd.gradcheck(spectra.magnitude, (values,))
    assert torch.autograd.gradcheck(lambda *given: spectra.compress(*given, 0.3), (values, magnitude))


def test_magnitudes_are_compressed_and_phases_kept():
    values = noise(1, 2, 3, 4)
    magnitude = spectra.magnitude(values)
    compressed, powers = spectra.compress(values, magnitude, 0.3)
    stft = torch.complex(*values.unbind(1))
    torch.testing.assert_close(magnitude, stft.abs(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.complex(*compressed.unbind(1)).angle(), stft.angle())
    torch.testing.assert_close(powers, magnitude**0.3)


@pytest.mark.parametrize("level", [0.0, 1e-3, 0.1])
def test_losses_and_gradients_are_those_of_autograd(level):
    """The same loss from torch's parts alone."""
    estimate, reference = level * noise(2, 1000, dtype=torch.float32), 0.1 * noise(2, 1000).float()
    losses = SpectralLoss(LossConfig((64, 256), (10, 20), (256,)), 16000, ("mel", "spectrum"))
    estimate.requires_grad_()
    mel, spectrum = [], []
    for length in (64, 256):
        window, bank = getattr(losses, f"window_{length}"), getattr(losses, f"bank_{length}")
        pairs = [by_torch(F.pad(x, (length // 2,) * 2), window, length // 4) for x in (estimate, reference)]
        roots = [(values.square().sum(1) + spectra.POWER_FLOOR).sqrt() for values in pairs]
        logs = [(root @ bank + MEL_FLOOR).log() for root in roots]
        mel.append((logs[0] - logs[1]).abs().mean())
        if length == 256:
            values = [v * (r ** (EXPONENT - 1))[:, None] for v, r in zip(pairs, roots, strict=True)]
            spectrum.append(
                0.6 * (values[0] - values[1]).square().mean()
                + 0.7 * (roots[0] ** EXPONENT - roots[1] ** EXPONENT).square().mean()
            )
    wanted = {"mel": torch.stack(mel).mean(), "spectrum": torch.stack(spectrum).mean()}
    found = losses(estimate, reference)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value)
        gradients = [
            torch.autograd.grad(loss, estimate, retain_graph=True)[0] for loss in (found[name], value)
        ]
        scale = float(gradients[1].abs().max())
        torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=1e-4 * scale)
