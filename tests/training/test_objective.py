"""Where gradients come from and how much of each; when discriminators take part, and who learns from whom."""

from dataclasses import replace

import pytest
import torch

from audiocodec.errors import AudioCodecError
from audiocodec.losses.reconstruction import weighted_sum
from audiocodec.training.loop import Trainer


def scalars(trainer, count):
    return [{name: float(value) for name, value in trainer.step().items()} for _ in range(count)]


def gradients(trainer, step):
    """Of the codec, after a backward pass as in step `step`; and the losses."""
    trainer.start()
    (drawn,) = trainer.feed(0)
    torch.manual_seed(drawn.seed)
    output = trainer.model(drawn.scenes.wav, drawn.num_quantizers)
    wav, seed, chance = drawn.scenes.wav, drawn.seed, drawn.chance
    losses = trainer.objective.backward(output, wav, step, 1.0, seed, chance)
    return [None if p.grad is None else p.grad.clone() for p in trainer.parameters], losses


def test_gradients_are_those_of_the_weighted_sum(recipe, tmp_path):
    """Against one pass backward from the sum of all losses."""
    found, losses = gradients(Trainer(recipe, tmp_path), 0)
    trainer = Trainer(recipe, tmp_path)
    trainer.start()
    (drawn,) = trainer.feed(0)
    torch.manual_seed(drawn.seed)
    output = trainer.model(drawn.scenes.wav, drawn.num_quantizers)
    estimate = output.wav[:, 0]
    each = trainer.objective.reconstruction(estimate, drawn.scenes.wav[:, 0, : estimate.shape[1]])
    total = weighted_sum({**each, "commitment": output.loss}, recipe.loss.weights)
    total.backward()
    assert total.item() == losses["total"].item()
    for gradient, parameter in zip(found, trainer.parameters, strict=True):
        torch.testing.assert_close(gradient, parameter.grad)


def test_discriminators_join_step_by_step(adversarial, tmp_path):
    """Nothing before step 2; then they learn alone; from step 4 on the codec feels them more and more."""
    told = scalars(Trainer(adversarial, tmp_path), 9)
    assert ["discriminator" in line for line in told] == [False] * 2 + [True] * 7
    for number, line in enumerate(told):
        strength = min(1.0, max(0.0, (number - 3) / 4))
        expected = sum(weight * line[name] for name, weight in adversarial.loss.weights.items())
        expected += strength * (line.get("adversarial", 0.0) + line.get("feature", 0.0))
        assert line["total"] == pytest.approx(expected, rel=1e-5)


def test_the_codec_does_not_feel_discriminators_that_warm_up(recipe, adversarial, tmp_path):
    alone, _ = gradients(Trainer(recipe, tmp_path / "a"), 3)
    beside, _ = gradients(Trainer(adversarial, tmp_path / "b"), 3)
    heard, _ = gradients(Trainer(adversarial, tmp_path / "c"), 8)
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))
    assert any(not torch.equal(one, other) for one, other in zip(alone, heard, strict=True))


def test_discriminators_learn_in_some_of_the_steps(adversarial, tmp_path):
    recipe = replace(adversarial, adversarial=replace(adversarial.adversarial, every=2, start_step=1))
    trainer = Trainer(recipe, tmp_path)
    moved = []
    for _ in range(5):
        before = [p.detach().clone() for p in trainer.objective.adversary.learning]
        trainer.step()
        after = trainer.objective.adversary.learning
        moved.append(any(not torch.equal(b, a) for b, a in zip(before, after, strict=True)))
    assert moved == [False, True, False, True, False]


def test_discriminators_get_better_at_it(adversarial, tmp_path):
    recipe = replace(
        adversarial,
        adversarial=replace(adversarial.adversarial, start_step=0, warmup_steps=1000, learning_rate=3e-3),
        steps=40,
    )
    told = [line["discriminator"] for line in scalars(Trainer(recipe, tmp_path), 40)]
    assert sum(told[-5:]) < 0.8 * sum(told[:5])


def test_the_balancer_sets_the_shares(balanced, tmp_path):
    """The gradient at the output has the norm that is asked for, whatever the scale of the losses."""
    objective = Trainer(balanced, tmp_path).objective
    torch.manual_seed(0)
    estimate = (0.1 * torch.randn(2, 1, 4000)).requires_grad_()
    reference = 0.1 * torch.randn(2, 1, 4000)
    losses = objective.reconstruction(estimate[:, 0], reference[:, 0])
    found = objective._gradient(losses, estimate, balanced.loss.weights, 0)
    expected = torch.zeros_like(estimate)
    for name in ("mel", "spectrum"):
        (gradient,) = torch.autograd.grad(losses[name], estimate, retain_graph=True)
        expected += 0.5 * gradient / gradient.flatten(1).norm(dim=1).mean()
    torch.testing.assert_close(found, expected)


def test_discriminators_have_the_share_of_the_gradient_that_is_asked_for(adversarial, tmp_path):
    """None while they warm up; then as much, in units of the reconstruction's, as the ramp says."""
    against = replace(adversarial.adversarial, share=0.5, most=1e6)  # from step 4 on, over 4 steps
    recipe = replace(adversarial, adversarial=against)
    objective = Trainer(recipe, tmp_path).objective
    torch.manual_seed(0)
    estimate = (0.1 * torch.randn(2, 1, 4000)).requires_grad_()
    reference = 0.1 * torch.randn(2, 1, 4000)

    def gradient(step):
        losses = objective.reconstruction(estimate[:, 0], reference[:, 0])
        judged = objective.adversary(estimate, reference)
        losses |= {name: judged[name] for name in ("adversarial", "feature")}
        return objective._gradient(losses, estimate, recipe.loss.weights, step)

    alone = gradient(2)
    for step, share in ((3, 0), (4, 0.125), (20, 0.5)):
        added = gradient(step) - alone
        assert float(added.norm() / alone.norm()) == pytest.approx(share, abs=1e-4)


def test_discriminators_that_fail_stop_the_run_with_the_batch_saved(adversarial, tmp_path, monkeypatch):
    trainer = Trainer(adversarial, tmp_path)
    scalars(trainer, 4)
    usual = trainer.objective.adversary.forward

    def broken(estimate, reference):
        losses = usual(estimate, reference)
        return {**losses, "discriminator": losses["discriminator"] * float("inf")}

    monkeypatch.setattr(trainer.objective.adversary, "forward", broken)
    before = [p.detach().clone() for p in [*trainer.parameters, *trainer.objective.adversary.learning]]
    with pytest.raises(AudioCodecError, match=r"discriminator.*not finite at step 4.*bad-batch-4\.npy"):
        trainer.step()
    after = [*trainer.parameters, *trainer.objective.adversary.learning]
    assert all(torch.equal(b, a) for b, a in zip(before, after, strict=True))


def test_discriminators_may_join_a_run_that_goes_on(recipe, adversarial, tmp_path):
    first = Trainer(recipe, tmp_path)
    scalars(first, 3)
    first.save()
    second = Trainer(adversarial, tmp_path)
    assert second.resume()
    assert "discriminator" in scalars(second, 1)[0]
    second.save()
    with pytest.raises(AudioCodecError, match=r"discriminator.*none in the recipe"):
        Trainer(recipe, tmp_path).resume()
