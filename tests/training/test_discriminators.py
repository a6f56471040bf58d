"""Sizes and shapes of the papers, equality with EnCodec's own code, and sound of any length."""

import itertools

import pytest
import torch

from audiocodec.errors import ConfigError
from audiocodec.training.discriminators import (
    DISCRIMINATORS,
    BandsConfig,
    DiscriminatorConfig,
    Discriminators,
    LightConfig,
    PeriodConfig,
    ScaleConfig,
    STFTConfig,
)

SMALL = {
    "stft": STFTConfig((256, 64), channels=4),
    "period": PeriodConfig((2, 3), channels=(4, 8, 8)),
    "scale": ScaleConfig(2, channels=4, max_channels=16),
    "bands": BandsConfig((256, 128), channels=4),
    "light": LightConfig((256, 128), channels=4),
}


def small(kind, normalize=False):
    torch.manual_seed(0)
    return Discriminators(DiscriminatorConfig((kind,), normalize, **SMALL))


def full(kind):
    with torch.device("meta"):
        return Discriminators(DiscriminatorConfig((kind,)))


def weights(module):
    """Shapes of the convolutions' weights in order of use."""
    kinds = (torch.nn.Conv1d, torch.nn.Conv2d)
    return [tuple(m.weight.shape) for m in module.modules() if isinstance(m, kinds)]


def test_encodec_sizes():
    """Section 3.4: 5 windows, 32 channels, three dilated layers of stride 2 in frequency."""
    discriminators = full("stft")
    assert len(discriminators.parts) == 5
    for part in discriminators.parts:
        assert weights(part) == [(32, 2, 3, 9), *[(32, 32, 3, 9)] * 3, (32, 32, 3, 3), (1, 32, 3, 3)]
        strided = [m for m in part.layers if m.stride == (1, 2)]
        assert [m.dilation for m in strided] == [(1, 1), (2, 1), (4, 1)]
    # A weight-normalized convolution has its weight, a length for each output and a bias.
    one = 2 * 32 * 27 + 64 + 3 * (32 * 32 * 27 + 64) + 32 * 32 * 9 + 64 + 32 * 9 + 2
    assert sum(p.numel() for p in discriminators.parameters()) == 5 * one == 472_490


def test_dac_sizes():
    """Periods 2, 3, 5, 7, 11 of HiFi-GAN's widths; 3 windows of 5 bands."""
    period, bands = full("period"), full("bands")
    assert [part.period for part in period.parts] == [2, 3, 5, 7, 11]
    widths = (1, 32, 128, 512, 1024, 1024)
    layers = [(b, a, 5, 1) for a, b in itertools.pairwise(widths)]
    assert all(weights(part) == [*layers, (1, 1024, 3, 1)] for part in period.parts)
    assert sum(p.numel() for p in period.parameters()) == 41_105_770
    stack = [(32, 2, 3, 9), *[(32, 32, 3, 9)] * 3, (32, 32, 3, 3)]
    assert all(weights(part) == [*stack * 5, (1, 32, 3, 3)] for part in bands.parts)
    slices = [[(s.start, s.stop) for s in part.slices] for part in bands.parts]
    assert slices[0] == [(0, 102), (102, 256), (256, 512), (512, 768), (768, 1025)]


def test_soundstream_sizes():
    """Section III-D: three scales, groups of 4, downsampling by 4, channels times 4 up to 1024."""
    scale = full("scale")
    strided = [(64, 4, 41), (256, 4, 41), (1024, 4, 41), (1024, 4, 41)]
    assert [part.halvings for part in scale.parts] == [0, 1, 2]
    assert all(weights(p) == [(16, 1, 15), *strided, (1024, 1024, 5), (1, 1024, 3)] for p in scale.parts)
    assert all(
        [m.stride for m in part.layers] == [(1,), (4,), (4,), (4,), (4,), (1,)] for part in scale.parts
    )


def test_equals_the_code_of_the_authors():
    encodec = pytest.importorskip("encodec.msstftd", reason="pip install encodec compares the discriminator")
    lengths = [256, 128]
    with pytest.warns(FutureWarning, match="weight_norm"):
        theirs = encodec.MultiScaleSTFTDiscriminator(
            4, n_ffts=lengths, hop_lengths=[64, 32], win_lengths=lengths
        )
    config = DiscriminatorConfig(("stft",), stft=STFTConfig(tuple(lengths), channels=4))
    ours = Discriminators(config)
    there = [m for m in theirs.modules() if isinstance(m, torch.nn.Conv2d)]
    here = [m for m in ours.modules() if isinstance(m, torch.nn.Conv2d)]
    for a, b in zip(there, here, strict=True):
        b.weight, b.bias.data = a.weight.detach(), a.bias.data
    wav = torch.randn(2, 1, 2000)
    scores, features = theirs(wav)
    for score, layers, judgment in zip(scores, features, ours(wav), strict=True):
        torch.testing.assert_close(judgment.score, score, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(judgment.features, layers, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
class TestEveryKind:
    def test_the_gradient_reaches_all_of_the_sound_and_every_weight(self, kind):
        discriminators = small(kind)
        wav = torch.randn(2, 1, 2048, requires_grad=True)
        judgments = discriminators(wav)
        sum(j.score.sum() + sum(f.square().sum() for f in j.features) for j in judgments).backward()
        assert bool((wav.grad.abs().sum(dim=(0, 1)) > 0).float().mean() > 0.98)
        assert all(bool(p.grad.any()) for p in discriminators.parameters())

    def test_short_or_silent_sound_gives_finite_judgments_and_gradients(self, kind, subtests):
        for normalize, level, length in itertools.product(
            (False, True), (0.0, 1.0), (1, 2, 7, 100, 255, 1000)
        ):
            with subtests.test(f"{length} samples of level {level}, normalize={normalize}"):
                wav = (level * torch.ones(1, 1, length)).requires_grad_()
                judgments = small(kind, normalize)(wav)
                assert all(j.score.numel() > 0 for j in judgments)
                sum(j.score.sum() for j in judgments).backward()
                assert bool(wav.grad.isfinite().all())

    def test_examples_are_judged_apart(self, kind):
        discriminators, wav = small(kind), torch.randn(3, 1, 1500)
        alone = discriminators(wav[1:2])
        for one, all_three in zip(alone, discriminators(wav), strict=True):
            torch.testing.assert_close(one.score, all_three.score[1:2], rtol=1e-4, atol=1e-6)

    def test_bfloat16_judges_nearly_the_same(self, kind):
        discriminators, wav = small(kind), torch.randn(1, 1, 1500)
        expected = discriminators(wav)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = discriminators(wav)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a.score.float(), b.score, rtol=0.1, atol=0.05)


def test_normalized_sound_has_no_offset_and_no_level():
    discriminators, wav = small("stft", normalize=True), torch.randn(1, 1, 1000)
    for one, other in zip(discriminators(wav), discriminators(5 * wav + 0.3), strict=True):
        torch.testing.assert_close(one.score, other.score, rtol=1e-3, atol=1e-5)


def test_period_sees_samples_a_period_apart():
    """A click moves the judgment of its own column alone."""
    discriminators = small("period")
    quiet, click = torch.zeros(1, 1, 600), torch.zeros(1, 1, 600)
    click[..., 300] = 1.0
    for part, before, after in zip(
        discriminators.parts, discriminators(quiet), discriminators(click), strict=True
    ):
        moved = (before.score != after.score).any(dim=2)[0, 0]
        assert moved.tolist() == [column == 300 % part.period for column in range(part.period)]


def test_unknown_kind():
    with pytest.raises(ConfigError, match="did you mean 'light'"):
        DiscriminatorConfig(("lite",))
