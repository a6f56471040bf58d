import pytest

from audiocodec.errors import ConfigError
from audiocodec.training.config import OptimConfig
from audiocodec.training.engine.optimizer import build_optimizer, learning_rate


def test_schedule_warms_up_stays_and_decays():
    optim = OptimConfig(learning_rate=2.0, warmup_steps=4, decay_steps=5)
    rates = [learning_rate(optim, step, 20) for step in range(20)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert set(rates[4:16]) == {2.0}
    assert rates[15:] == pytest.approx([2.0, 1.6, 1.2, 0.8, 0.4])


def test_no_warm_up_and_no_decay():
    optim = OptimConfig(learning_rate=1.0, warmup_steps=0, decay_steps=0)
    assert {learning_rate(optim, step, 10) for step in range(10)} == {1.0}


def test_nothing_to_learn():
    with pytest.raises(ConfigError, match="frozen"):
        build_optimizer([], OptimConfig())
