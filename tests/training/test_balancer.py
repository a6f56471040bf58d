"""The balancer against equation 5 computed by hand, and EnCodec's own code where it is installed."""

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from audiocodec.errors import CheckpointError, ConfigError
from audiocodec.training.balancer import Balancer

WEIGHTS = {"mel": 2.0, "waveform": 0.1, "feature": 3.0}


def losses_of(output, target):
    """Three losses of very different scale."""
    error = output - target
    return {
        "mel": 50 * error.abs().mean(),
        "waveform": 1e-3 * error.square().mean(),
        "feature": (7 * error).tanh().square().sum(),
    }


def draw(step, batch=3):
    generator = torch.Generator().manual_seed(step)
    output = torch.randn(batch, 1, 40, generator=generator) * (1 + step)
    return output.requires_grad_(), torch.randn(batch, 1, 40, generator=generator)


def by_hand(steps, decay, norm):
    """Gradients of each step by the formula, in numpy, from the gradients of each loss alone."""
    history = {name: [] for name in WEIGHTS}
    for step in range(steps):
        output, target = draw(step)
        gradients = {}
        for name, loss in losses_of(output, target).items():
            (gradient,) = torch.autograd.grad(loss, output, retain_graph=True)
            gradients[name] = gradient.double().numpy()
            history[name].append(np.mean([np.sqrt(np.sum(example**2)) for example in gradients[name]]))
        total = np.zeros(output.shape)
        for name, gradient in gradients.items():
            ages = np.arange(len(history[name]))[::-1]
            average = np.sum(decay**ages * np.array(history[name])) / np.sum(decay**ages)
            total += norm * WEIGHTS[name] / sum(WEIGHTS.values()) * gradient / average
        yield total


def test_equals_the_formula():
    balancer = Balancer(WEIGHTS, total_norm=2.5, ema_decay=0.8)
    for step, expected in enumerate(by_hand(6, 0.8, 2.5)):
        output, target = draw(step)
        gradient, _ = balancer.gradient(losses_of(output, target), output)
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-4, atol=1e-7)


def test_equals_the_code_of_the_authors():
    theirs = pytest.importorskip(
        "encodec.balancer",
        reason="the release of encodec on PyPI lacks it; install encodec from its repository",
    ).Balancer(WEIGHTS, ema_decay=0.9, per_batch_item=True)
    ours = Balancer(WEIGHTS, ema_decay=0.9)
    for step in range(5):
        output, target = draw(step)
        leaf = output.detach().clone().requires_grad_()
        through = leaf * 1.0
        theirs.backward(losses_of(through, target), through)
        gradient, _ = ours.gradient(losses_of(output, target), output)
        torch.testing.assert_close(gradient, leaf.grad, rtol=1e-4, atol=1e-7)


def test_shares_do_not_depend_on_the_scale_of_a_loss():
    results = []
    for scale in (1.0, 1e4):
        output, target = draw(0)
        losses = losses_of(output, target)
        losses["mel"] = scale * losses["mel"]
        results.append(Balancer(WEIGHTS).gradient(losses, output)[0])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-6)


def test_one_loss_alone_gets_the_whole_norm_in_each_example_on_average():
    output, target = draw(0)
    losses = {"mel": losses_of(output, target)["mel"]}
    gradient, norms = Balancer({"mel": 0.3, "feature": 5.0}, total_norm=3.0).gradient(losses, output)
    assert float(gradient.flatten(1).norm(dim=1).mean()) == pytest.approx(3.0, rel=1e-5)
    assert norms["mel"] == pytest.approx(50 / 3 / 40 * np.sqrt(40), rel=1e-5)


def test_weights_of_a_step_replace_the_others():
    output, target = draw(0)
    losses = losses_of(output, target)
    half = Balancer({"mel": 1.0, "feature": 1.0}).gradient(losses, output)[0]
    replaced = Balancer(WEIGHTS).gradient(losses, output, {"mel": 7.0, "feature": 7.0, "waveform": 0.0})[0]
    torch.testing.assert_close(half, replaced)


def test_continues_exactly_from_its_state():
    one, two = Balancer(WEIGHTS), Balancer(WEIGHTS)
    for step in range(3):
        output, target = draw(step)
        one.gradient(losses_of(output, target), output)
    two.load_state_dict(one.state_dict())
    output, target = draw(3)
    gradients = [b.gradient(losses_of(output, target), output)[0] for b in (one, two)]
    assert torch.equal(*gradients)


def test_a_loss_without_a_gradient_is_harmless():
    output = torch.zeros(2, 1, 8, requires_grad=True)
    gradient, norms = Balancer({"a": 1.0, "b": 1.0}).gradient(
        {"a": output.square().sum(), "b": output.sum()}, output
    )
    assert norms["a"] == 0
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("weights", [{}, {"mel": 0.0}, {"mel": 1.0, "feature": -1.0}])
def test_refuses_weights_that_mean_nothing(weights):
    with pytest.raises(ConfigError, match="give 0 or more, one above 0"):
        Balancer(weights)


def test_refuses_losses_it_knows_nothing_of():
    output = torch.ones(1, 1, 4, requires_grad=True)
    with pytest.raises(ConfigError, match="none of the losses has a weight"):
        Balancer(WEIGHTS).gradient({"other": output.sum()}, output)


def test_refuses_a_damaged_state():
    with pytest.raises(CheckpointError, match=r"\['mel'\] are damaged"):
        Balancer(WEIGHTS).load_state_dict({"mel": torch.zeros(3)})


def worker(rank, store, queue):
    distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=2)
    output, target = draw(rank, batch=2 + rank)
    _, norms = Balancer(WEIGHTS).gradient(losses_of(output, target), output)
    queue.put((rank, norms))
    distributed.destroy_process_group()


@pytest.mark.slow
def test_all_processes_follow_the_same_norms(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    workers = [context.Process(target=worker, args=(rank, tmp_path / "store", queue)) for rank in (0, 1)]
    for process in workers:
        process.start()
    results = dict(queue.get() for _ in workers)
    for process in workers:
        process.join()
    assert results[0] == results[1]
    alone = []
    for rank in (0, 1):
        output, target = draw(rank, batch=2 + rank)
        alone.append(Balancer(WEIGHTS).gradient(losses_of(output, target), output)[1]["mel"])
    assert results[0]["mel"] == pytest.approx((2 * alone[0] + 3 * alone[1]) / 5, rel=1e-5)
