"""Adversarial losses against their formulas, and one step of each side."""

import numpy as np
import pytest
import torch

from audiocodec.config import from_mapping
from audiocodec.errors import ConfigError
from audiocodec.training.adversarial import (
    AdversarialConfig,
    Adversary,
    crop,
    discriminator_loss,
    generator_losses,
)
from audiocodec.training.discriminators import DiscriminatorConfig, Judgment, LightConfig
from audiocodec.training.processes import Processes

LIGHT = DiscriminatorConfig(("light",), light=LightConfig((256, 128), channels=4))


def judgments(seed):
    """Two discriminators with two layers each."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return 2 * torch.randn(*shape, generator=generator)

    return [Judgment(normal(3, 1, 5), [normal(3, 4, 6), normal(3, 2, 5)]) for _ in range(2)]


def test_hinge_and_least_squares_by_hand():
    real, fake = judgments(0), judgments(1)
    scores = [[j.score.numpy() for j in side] for side in (real, fake)]
    hinge = [np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean() for r, f in zip(*scores, strict=True)]
    squares = [((1 - r) ** 2).mean() + (f**2).mean() for r, f in zip(*scores, strict=True)]
    assert float(discriminator_loss(real, fake, "hinge")) == pytest.approx(np.mean(hinge), rel=1e-5)
    assert float(discriminator_loss(real, fake, "least_squares", "sum")) == pytest.approx(
        np.sum(squares), rel=1e-5
    )
    mislead = [np.maximum(0, 1 - f).mean() for f in scores[1]]
    assert float(generator_losses(real, fake, "hinge")["adversarial"]) == pytest.approx(np.mean(mislead))
    mislead = [((1 - f) ** 2).mean() for f in scores[1]]
    losses = generator_losses(real, fake, "least_squares", "absolute", "sum")
    assert float(losses["adversarial"]) == pytest.approx(np.sum(mislead), rel=1e-5)


def test_feature_matching_by_hand():
    real, fake = judgments(0), judgments(1)
    pairs = [
        (a.numpy(), b.numpy())
        for r, f in zip(real, fake, strict=True)
        for a, b in zip(r[1], f[1], strict=True)
    ]
    relative = [np.abs(a - b).mean() / np.abs(a).mean() for a, b in pairs]
    absolute = [np.abs(a - b).mean() for a, b in pairs]
    assert float(generator_losses(real, fake, "hinge")["feature"]) == pytest.approx(np.mean(relative))
    losses = generator_losses(real, fake, "hinge", "absolute", "sum")
    assert float(losses["feature"]) == pytest.approx(np.sum(absolute), rel=1e-6)


def test_relative_matching_forgets_the_scale_of_a_layer():
    real, fake = judgments(0), judgments(1)
    larger = [[Judgment(j.score, [9 * f for f in j.features]) for j in side] for side in (real, fake)]
    assert float(generator_losses(*larger, "hinge")["feature"]) == pytest.approx(
        float(generator_losses(real, fake, "hinge")["feature"])
    )


def test_features_of_two_renderings_are_compared_by_energy_distances():
    """Two that are alike count as one; two that differ count half of their distance less."""
    real, fake, other = judgments(0), judgments(1), judgments(2)

    def matched(*renderings):
        both = [
            Judgment(
                torch.cat([j.score for j in parts]),
                [torch.cat(layers) for layers in zip(*(j.features for j in parts), strict=True)],
            )
            for parts in zip(*renderings, strict=True)
        ]
        return float(generator_losses(real, both, "hinge")["feature"])

    assert matched(fake, fake) == pytest.approx(matched(fake))
    layers = [
        (a, b, c)
        for r, f, o in zip(real, fake, other, strict=True)
        for a, b, c in zip(r[1], f[1], o[1], strict=True)
    ]
    between = np.mean([float((b - c).abs().mean() / a.abs().mean()) for a, b, c in layers])
    expected = (matched(fake) + matched(other) - between) / 2
    assert matched(fake, other) == pytest.approx(expected, rel=1e-5)


def test_recordings_are_targets_without_a_gradient():
    real = [Judgment(j.score, [f.requires_grad_() for f in j.features]) for j in judgments(0)]
    fake = [
        Judgment(j.score.requires_grad_(), [f.requires_grad_() for f in j.features]) for j in judgments(1)
    ]
    sum(generator_losses(real, fake, "hinge").values()).backward()
    assert all(feature.grad is None for j in real for feature in j.features)
    assert all(bool(feature.grad.any()) for j in fake for feature in j.features)


def test_discriminators_learn_to_tell_noise_from_tones():
    torch.manual_seed(0)
    adversary = Adversary(AdversarialConfig(LIGHT), 16000, Processes())
    optimizer = torch.optim.AdamW(adversary.parameters(), 2e-3, (0.5, 0.9))
    tone = 0.1 * torch.sin(torch.arange(2000) * 0.2)[None, None]
    losses = []
    for _ in range(25):
        made = adversary(0.1 * torch.randn(2, 1, 2000), tone.expand(2, 1, -1))
        optimizer.zero_grad()
        made["discriminator"].backward(inputs=list(adversary.parameters()))
        optimizer.step()
        losses.append(made["discriminator"].item())
    assert losses[0] == pytest.approx(2.0, abs=0.3)
    assert losses[-1] < 1.3


def test_the_codec_and_the_discriminators_keep_to_their_own_losses():
    torch.manual_seed(0)
    adversary = Adversary(AdversarialConfig(LIGHT), 16000, Processes())
    estimate = torch.randn(2, 1, 1000, requires_grad=True)
    losses = adversary(estimate, torch.randn(2, 1, 1000))
    losses["discriminator"].backward(inputs=list(adversary.parameters()), retain_graph=True)
    assert estimate.grad is None
    before = [parameter.grad.clone() for parameter in adversary.parameters()]
    (gradient,) = torch.autograd.grad(losses["adversarial"] + losses["feature"], estimate)
    assert bool(gradient.abs().sum() > 0)
    assert all(torch.equal(a, p.grad) for a, p in zip(before, adversary.parameters(), strict=True))


def test_crops_are_the_same_stretch_of_both_and_differ_between_examples():
    ramp = torch.arange(1000.0).expand(8, 1, -1)
    one, two = crop(ramp, -ramp, 100, torch.Generator().manual_seed(0))
    assert torch.equal(one, -two)
    assert torch.equal(one - one[..., :1], ramp[..., :100])
    assert len(set(one[:, 0, 0].tolist())) > 4
    again, _ = crop(ramp, -ramp, 100, torch.Generator().manual_seed(0))
    assert torch.equal(one, again)
    both, _ = crop(torch.cat([ramp, 2 * ramp]), ramp, 100, torch.Generator().manual_seed(0))
    assert torch.equal(both, torch.cat([one, 2 * one]))
    assert crop(ramp, ramp, 0, torch.Generator())[0] is ramp
    assert crop(ramp, ramp, 5000, torch.Generator())[0] is ramp


def test_a_share_holds_whatever_the_size_of_the_gradients():
    adversary = Adversary(AdversarialConfig(LIGHT, share=0.7, most=50.0), 16000, Processes())
    reconstruction, adversarial = torch.randn(2, 1, 100), 0.02 * torch.randn(2, 1, 100)
    assert float(adversary.scale()) == 0
    for _ in range(3):
        adversary.update_norms(reconstruction, adversarial)
    scaled = float(adversary.scale()) * adversarial.norm()
    assert float(scaled / reconstruction.norm()) == pytest.approx(0.7)
    for _ in range(1000):
        adversary.update_norms(reconstruction, 1e-6 * adversarial)
    assert float(adversary.scale()) == 50
    again = Adversary(adversary.config, 16000, Processes())
    again.load_state_dict(adversary.state_dict())
    assert torch.equal(again.norms, adversary.norms)


def test_when_it_takes_part_and_how_strongly():
    config = AdversarialConfig(LIGHT, start_step=10, every=3, warmup_steps=6, ramp_steps=4)
    assert [step for step in range(20) if config.active(step)] == [10, 13, 16, 19]
    assert [config.strength(step) for step in (9, 15, 16, 17, 19, 25)] == [0, 0, 0.25, 0.5, 1, 1]
    assert not AdversarialConfig().active(100)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"discriminators": {"kinds": ["stfs"]}}, "did you mean 'stft'"),
        ({"loss": "wgan"}, "loss: expected one of 'hinge', 'least_squares'"),
        ({"weights": {"features": 1.0}}, "did you mean 'feature'"),
        ({"share": -1.0}, "share is -1; give 0 or more"),
        ({"most": 0.0}, "most must be more than 0"),
        ({"every": 0}, "every is 0; give 1 or more"),
        ({"update_share": 0.0}, "update_share is 0.0"),
        ({"betas": [0.5, 1.0]}, "betas"),
        ({"discriminators": {"bands": {"bands": [[0.5, 0.2]]}}}, "give shares"),
        ({"discriminators": {"light": {"exponent": 0.0}}}, "exponent is 0.0"),
        ({"discriminators": {"stft": {"window_lengths": [1001]}}}, "multiples of 4"),
        ({"discriminators": {"period": {"periods": []}}}, "periods and channels"),
    ],
)
def test_wrong_recipes_are_refused(mapping, message):
    with pytest.raises(ConfigError, match=message):
        from_mapping(AdversarialConfig, mapping)
