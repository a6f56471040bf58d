"""A deferred look at the steps: nothing bad reaches the weights, and the run stops when it is looked at."""

import traceback
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

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


class Waiting(TorchDispatchMode):
    """Notes which of our files ask for a value of a tensor, which on a GPU is waiting for all before it."""

    def __init__(self):
        super().__init__()
        self.files = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        picked = args[1] if name.startswith("index") and len(args) > 1 and isinstance(args[1], list) else []
        by_mask = any(index is not None and index.dtype == torch.bool for index in picked)
        if name in ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "bincount") or by_mask:
            ours = [frame.filename for frame in traceback.extract_stack() if "/audiocodec/" in frame.filename]
            self.files.add(ours[-1].rpartition("/audiocodec/")[2])
        return func(*args, **(kwargs or {}))


def test_a_step_waits_for_no_device(adversarial, tmp_path):
    """Only for the numbers of quantizers, which are drawn on the CPU and stay there.

    Every fifth step looks for dead entries, which is left out here.
    """
    quantizer = replace(adversarial.model.quantizer, options={"dead_codes": "none"})
    model, data = (
        replace(adversarial.model, quantizer=quantizer),
        replace(adversarial.data, on_device="always"),
    )
    trainer = Trainer(replace(adversarial, model=model, data=data), tmp_path)
    trainer.guard.deferred = True
    for _ in range(7):
        trainer.step()
    with Waiting() as waiting:
        trainer.step()
    assert waiting.files == {"quantizers/residual.py"}
