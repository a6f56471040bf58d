"""A deferred look at the steps: nothing bad reaches the weights, and the run stops when it is looked at."""

import numpy as np
import pytest
import torch

from audiocodec.errors import AudioCodecError
from audiocodec.training.loop import Trainer


def test_a_device_leaves_out_a_bad_step_and_tells_later(recipe, tmp_path, monkeypatch):
    trainer = Trainer(recipe, tmp_path)
    trainer.guard.deferred = True
    trainer.step()
    bad = trainer.feed(1)
    bad[0].scenes.wav[0, 0, 5] = torch.nan
    before = [parameter.detach().clone() for parameter in trainer.parameters]
    trainer.step(bad)
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.parameters, strict=True))
    with pytest.raises(AudioCodecError, match=r"grad_norm: not finite at step 1; .*bad-batch-1\.npy"):
        trainer.guard.check()
    assert np.isnan(np.load(tmp_path / "bad-batch-1.npy")[0, 0, 5])


def test_good_steps_are_those_of_a_look_at_once(recipe, tmp_path):
    found = []
    for deferred in (False, True):
        trainer = Trainer(recipe, tmp_path / str(deferred))
        trainer.guard.deferred = deferred
        for _ in range(3):
            trainer.step()
        trainer.guard.check()
        found.append([parameter.detach() for parameter in trainer.parameters])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
