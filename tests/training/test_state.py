"""The moving average of the weights, and the learning rate."""

import numpy as np
import pytest
import torch
from torch import nn

from audiocodec.errors import ConfigError
from audiocodec.training.config import OptimConfig
from audiocodec.training.state import TrainState, WeightAverage


def test_schedule_warms_up_stays_and_decays():
    optim = OptimConfig(learning_rate=2.0, warmup_steps=4, decay_steps=5)
    rates = [optim.rate_at(step, 20) for step in range(20)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert set(rates[4:16]) == {2.0}
    assert rates[15:] == pytest.approx([2.0, 1.6, 1.2, 0.8, 0.4])


def test_no_warm_up_and_no_decay():
    optim = OptimConfig(learning_rate=1.0, warmup_steps=0, decay_steps=0)
    assert {optim.rate_at(step, 10) for step in range(10)} == {1.0}


def test_nothing_to_learn():
    with pytest.raises(ConfigError, match="frozen"):
        TrainState(nn.Module(), None, OptimConfig())


def test_formula():
    """Every 10th step: a <- a + (1 - min(decay^10, (1 + step) / (100 + step))) (w - a), against numpy."""
    rng = np.random.default_rng(0)
    model, decay = nn.Linear(3, 2), 0.99
    average = WeightAverage(model, decay)
    expected = model.weight.detach().double().numpy().copy()
    for step in range(1, 2001):
        weights = rng.standard_normal((2, 3))
        with torch.no_grad():
            model.weight.copy_(torch.from_numpy(weights))
        average.follow(step)
        if step % 10 == 0:
            expected += (1 - min(decay**10, (1 + step) / (100 + step))) * (weights - expected)
    np.testing.assert_allclose(average.averages["weight"].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_slow_decay_wins_in_the_long_run():
    """After the warm-up a step of 10 has the weight of ten steps of the given decay."""
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = WeightAverage(model, 0.998)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average.follow(100_000)
    np.testing.assert_allclose(average.averages["weight"].item(), 1 - 0.998**10, rtol=1e-5)


def test_applied_puts_everything_back():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    model[0].eval()  # a frozen part
    average = WeightAverage(model, 0.9)
    start = model[0].weight.clone()
    with torch.no_grad():
        model[0].weight.add_(1.0)
    before = model[0].weight.clone()
    with average.applied():
        assert torch.equal(model[0].weight, start)
        assert not any(module.training for module in model.modules())
    assert torch.equal(model[0].weight, before)
    assert [module.training for module in model.modules()] == [True, False, True]
