from itertools import product

import numpy as np

from audiocodec.training.data.batch import step_rng


def test_every_rank_and_step_has_its_own_randomness():
    drawn = {
        tuple(step_rng(seed, step, rank).integers(2**62, size=4))
        for seed, step, rank in product(range(3), range(20), range(4))
    }
    assert len(drawn) == 3 * 20 * 4


def test_rank_0_draws_what_a_run_on_one_device_draws():
    assert step_rng(5, 7).random() == np.random.default_rng((5, 7)).random()
    assert step_rng(5, 7, rank=0).random() == step_rng(5, 7).random()
