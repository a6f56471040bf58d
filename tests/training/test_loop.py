"""The trainer: exact resume, what is frozen stays, bad losses stop, and something is learned."""

import io
import itertools
import json
import tarfile
import traceback
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from audiocodec.checkpoint import load_model
from audiocodec.config import load_config
from audiocodec.errors import AudioCodecError, CheckpointError, ConfigError
from audiocodec.metrics import imitated
from audiocodec.training import loop
from audiocodec.training.api import result_of
from audiocodec.training.checkpoints import best_checkpoint
from audiocodec.training.config import TrainConfig
from audiocodec.training.loop import Trainer


def everything(trainer):
    """All numbers that a later step depends on, by name."""
    tensors = dict(trainer.model.named_parameters()) | dict(trainer.model.named_buffers())
    tensors |= {f"average {name}": value for name, value in trainer.average.averages.items()}
    optimizers = [trainer.optimizer]
    if trainer.objective.adversary is not None:
        optimizers.append(trainer.objective.adversary.optimizer)
        tensors |= trainer.objective.adversary.state_dict()
    if trainer.objective.balancer is not None:
        tensors |= {f"balancer {n}": value for n, value in trainer.objective.balancer.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer {number} {index} {name}": value for name, value in state.items()}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def steps(trainer, count):
    return [{name: float(value) for name, value in trainer.step().items()} for _ in range(count)]


@pytest.mark.parametrize("kind", ["none", "bfloat16", "adversarial", "balanced"])
def test_a_resumed_run_repeats_exactly(recipe, adversarial, balanced, tmp_path, kind):
    """Twelve steps (the average moves at the tenth) against seven, a new process' trainer, and five."""
    recipes = {"adversarial": adversarial, "balanced": replace(balanced, autocast="bfloat16")}
    recipe = recipes.get(kind) or replace(recipe, autocast=kind)
    straight = Trainer(recipe, tmp_path / "straight")
    expected = steps(straight, 12)
    first = Trainer(recipe, tmp_path / "cut")
    found = steps(first, 7)
    first.save()
    second = Trainer(recipe, tmp_path / "cut")
    assert second.resume()
    assert second.step_number == 7
    found += steps(second, 5)
    assert found == expected
    mine, other = everything(second), everything(straight)
    assert mine.keys() == other.keys()
    assert [name for name in mine if not torch.equal(mine[name], other[name])] == []
    before = everything(first)
    assert any(not torch.equal(before[name], mine[name]) for name in mine if name.startswith("average"))


def test_nothing_to_resume(recipe, tmp_path):
    assert not Trainer(recipe, tmp_path).resume()


def test_steps_depend_on_the_seed(recipe, tmp_path):
    losses = [
        steps(Trainer(replace(recipe, seed=seed), tmp_path / str(n)), 1)[0]["mel"]
        for n, seed in enumerate((0, 0, 1))
    ]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    "frozen", [("encoder",), ("quantizer",), ("decoder",), ("encoder", "quantizer")], ids=str
)
def test_frozen_parts_do_not_move(recipe, tmp_path, frozen):
    trainer = Trainer(replace(recipe, frozen=frozen), tmp_path)
    trainer.start()
    before = everything(trainer)
    steps(trainer, 10)
    trainer.validate()
    trainer.export()
    steps(trainer, 2)
    after = everything(trainer)
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"encoder", "quantizer", "decoder", "average encoder", "average decoder"} - {
        part for name in frozen for part in (name, f"average {name}")
    }


def test_frozen_leaves_nothing_that_learns(recipe, tmp_path):
    with pytest.raises(ConfigError, match="nothing that learns by gradient"):
        Trainer(replace(recipe, frozen=("encoder", "decoder")), tmp_path)


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_loss_that_is_not_finite_stops_with_the_batch_saved(recipe, tmp_path, monkeypatch, bad):
    trainer = Trainer(recipe, tmp_path)
    steps(trainer, 3)
    before = everything(trainer)
    usual = trainer.objective.reconstruction.forward

    def broken(estimate, reference):
        losses = usual(estimate, reference)
        if bad == "loss":
            return {**losses, "mel": losses["mel"] * float("nan")}
        zero = estimate.flatten()[0] - estimate.flatten()[0].detach()
        return {**losses, "mel": losses["mel"] + zero.sqrt()}  # 0, with an infinite gradient

    monkeypatch.setattr(trainer.objective.reconstruction, "forward", broken)
    with pytest.raises(AudioCodecError, match=r"not finite at step 3; the batch is in .*bad-batch-3\.npy"):
        trainer.fit()
    batch = np.load(tmp_path / "bad-batch-3.npy")
    assert np.array_equal(batch, trainer.data.sampler.draw(_after_seed(recipe.seed, 3)).wav.numpy())
    after = everything(trainer)
    weights = [name for name, _ in trainer.model.named_parameters()]
    assert all(torch.equal(before[name], after[name]) for name in weights)
    assert not list(tmp_path.glob("checkpoint-*"))


def _after_seed(seed, step):
    rng = np.random.default_rng((seed, step))
    rng.integers(2**62)
    return rng


def test_learns(recipe, tmp_path):
    """Thirty steps from a random start bring the loss down by far more than batches differ."""
    recipe = replace(recipe, start="random", steps=30, optim=replace(recipe.optim, learning_rate=3e-3))
    losses = [step["mel"] for step in steps(Trainer(recipe, tmp_path), 30)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_fit_leaves_a_whole_run(recipe, tmp_path, recordings):
    """Log, configuration, two newest checkpoints and a model that loads; the clock is ours, 5 s a look."""
    recipe = replace(recipe, steps=10, validate_every=5, validate_seconds=3.0, checkpoint_minutes=1.0)
    told = []
    trainer = Trainer(recipe, tmp_path, clock=itertools.count(0, 5).__next__)
    trainer.fit(lambda step, scalars: told.append((step, set(scalars))))
    assert load_config(TrainConfig, tmp_path / "config.yaml") == recipe
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["group"], line["step"]) for line in log] == [
        ("train", 4), ("valid", 5), ("train", 8), ("train", 10), ("valid", 10),
    ]  # fmt: skip
    assert {"mel", "spectrum", "commitment", "total", "grad_norm", "learning_rate", "perplexity/0"} <= set(
        log[0]
    )
    # One look before and one after each step: 4 steps of 2 examples of 0.5 s in 20 s, 2 steps in 10 s.
    assert [line["audio_seconds_per_second"] for line in log if line["group"] == "train"] == [0.2, 0.2, 0.2]
    assert {"pesq_wb/4", "stoi/2", "si_sdr/0", "usage/3", "unscored"} <= set(log[1])
    assert [step for step, _ in told] == [4, 5, 8, 10, 10]
    assert "valid/stoi/4" in told[1][1]
    assert [path.name for path in sorted(tmp_path.glob("checkpoint-*"))] == [
        f"checkpoint-{step:09d}.safetensors" for step in (5, 10)
    ]
    model, config, metadata = load_model(tmp_path / "model")
    assert config == recipe.model
    assert (metadata["name"], metadata["steps"]) == ("tiny", "10")
    assert metadata["imitates"] == ",".join(imitated({"mel": 1.0, "spectrum": 1.0}))
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, trainer.average.averages[name])


def test_a_stop_leaves_a_checkpoint_to_go_on_from(recipe, tmp_path):
    whole = Trainer(recipe, tmp_path / "whole")
    whole.fit()
    asked = iter([False] * 5 + [True])
    stopped = Trainer(recipe, tmp_path / "cut")
    stopped.fit(stop=lambda: next(asked))
    assert stopped.step_number == 5
    model, _, metadata = load_model(tmp_path / "cut" / "model")
    assert metadata["steps"] == "5"
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, stopped.average.averages[name])
    resumed = Trainer(recipe, tmp_path / "cut")
    assert resumed.resume()
    resumed.fit()
    mine, other = everything(resumed), everything(whole)
    assert [name for name in mine if not torch.equal(mine[name], other[name])] == []
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    assert (
        [json.loads(line)["step"] for line in logs[1]]
        == [json.loads(line)["step"] for line in logs[0]]
        == [4, 8, 12]
    )
    assert json.loads(logs[0][2])["mel"] == json.loads(logs[1][2])["mel"]


def test_a_stop_before_the_first_step_loses_no_start(recipe, tmp_path):
    stopped = Trainer(recipe, tmp_path)
    stopped.fit(stop=lambda: True)
    resumed = Trainer(recipe, tmp_path)
    assert resumed.resume()
    fresh = Trainer(recipe, tmp_path / "fresh")
    assert steps(resumed, 1) == steps(fresh, 1)


def test_a_model_is_written_once_a_step(recipe, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(Trainer, "export", lambda self, *name: written.append((self.step_number, *name)))
    Trainer(replace(recipe, steps=4, validate_every=2), tmp_path / "whole").fit()
    assert written == [(2,), (4,)]


def test_the_best_model_stands_beside_the_newest(recipe, tmp_path, monkeypatch):
    """Scores of the five validations; what has none, or an equal one to an earlier, counts as told."""
    scores = iter([1.0, 3.0, 2.0, None, 3.0])
    monkeypatch.setattr(loop, "best_score", lambda *_: next(scores))
    best, validate = [], Trainer.validate

    def validated(self):
        path = tmp_path / "model-best"
        best.append(load_model(path)[2]["steps"] if path.exists() else None)
        return validate(self)

    monkeypatch.setattr(Trainer, "validate", validated)
    Trainer(replace(recipe, steps=5, validate_every=1, validate_seconds=1.0), tmp_path).fit()
    assert best == [None, "1", "2", "2", "2"]
    assert load_model(tmp_path / "model-best")[2]["steps"] == "5"
    assert best_checkpoint(tmp_path).name == "checkpoint-000000005.safetensors"


def test_number_of_quantizers_is_drawn_for_each_example(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path)
    counts = trainer.feed.draw_num_quantizers(np.random.default_rng(0), 40_000).bincount(minlength=5) / 40_000
    # Half from 1, 2, 3, 4 and half from the favored 2, 4.
    assert counts.tolist() == pytest.approx([0, 0.125, 0.375, 0.125, 0.375], abs=0.015)


def test_favoring_none_draws_from_all(recipe, tmp_path):
    trainer = Trainer(replace(recipe, prefix_choices=()), tmp_path)
    counts = trainer.feed.draw_num_quantizers(np.random.default_rng(0), 40_000).bincount(minlength=5) / 40_000
    assert counts.tolist() == pytest.approx([0, 0.25, 0.25, 0.25, 0.25], abs=0.015)


def test_a_number_of_quantizers_that_is_not_offered(recipe, tmp_path):
    with pytest.raises(ConfigError, match=r"prefix_choices has \[6\].*\[1, 2, 3, 4\]"):
        Trainer(replace(recipe, prefix_choices=(2, 6)), tmp_path)


def test_weights_count(recipe, tmp_path):
    recipe = replace(recipe, loss=replace(recipe.loss, weights={"spectrum": 2.0, "commitment": 3.0}))
    (scalars,) = steps(Trainer(recipe, tmp_path), 1)
    assert scalars["total"] == pytest.approx(2 * scalars["spectrum"] + 3 * scalars["commitment"], rel=1e-5)


def test_resuming_with_another_model_names_what_differs(recipe, tmp_path):
    trainer = Trainer(recipe, tmp_path)
    steps(trainer, 1)
    trainer.save()
    wider = replace(recipe.model, net=replace(recipe.model.net, decoder_channels=48))
    other = Trainer(replace(recipe, model=wider), tmp_path)
    with pytest.raises(CheckpointError, match=r"decoder\.blocks.*\[32.*in the file, \[48.*config\.yaml"):
        other.resume()


def test_gradients_of_several_batches_make_one_step(recipe, tmp_path):
    """Two batches of one step: their mean gradient, codebooks moved by each; other data than one batch."""
    trainer = Trainer(replace(recipe, accumulate=2), tmp_path)
    trainer.start()
    drawn = trainer.feed(3)
    assert [part.seed for part in drawn] == [
        part.seed for step in (6, 7) for part in Trainer(recipe, tmp_path / str(step)).feed(step)
    ]
    gradients = []
    for part in drawn:
        trainer.optimizer.zero_grad()
        trainer._pass(part, 1.0)
        gradients.append([p.grad.clone() for p in trainer.parameters])
    together = Trainer(replace(recipe, accumulate=2), tmp_path / "together")
    together.start()
    for part in drawn:
        together._pass(part, 0.5)
    for first, second, parameter in zip(*gradients, together.parameters, strict=True):
        torch.testing.assert_close(parameter.grad, (first + second) / 2)


def test_the_quantizer_settles_between_steps(recipe, tmp_path):
    """Codebooks fit the latents of a step better after further steps on them; nets do not move."""
    errors, weights = [], []
    for inner in (0, 6):
        trainer = Trainer(replace(recipe, quantizer_inner_steps=inner), tmp_path / str(inner))
        trainer.start()
        drawn = trainer.feed(0)
        trainer.step(drawn)
        weights.append([p.detach().clone() for p in trainer.parameters])
        with torch.no_grad():
            latents = trainer.model.encoder(drawn[0].scenes.wav)
            quantized = trainer.model.quantizer.decode(trainer.model.quantizer.encode(latents))
            errors.append(float((latents - quantized).square().mean()))
    assert errors[1] < 0.97 * errors[0]
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_a_quantizer_that_learns_by_gradient_settles_alone(recipe, tmp_path):
    model = replace(recipe.model, quantizer=replace(recipe.model.quantizer, method="simvq"))
    trainers = [
        Trainer(replace(recipe, model=model, quantizer_inner_steps=inner), tmp_path / str(inner))
        for inner in (0, 3)
    ]
    for trainer in trainers:
        trainer.step()
    plain, settled = (dict(trainer.model.named_parameters()) for trainer in trainers)
    moved = {name.split(".")[0] for name in plain if not torch.equal(plain[name], settled[name])}
    assert moved == {"quantizer"}


def test_nets_are_compiled_when_asked_for(recipe, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    Trainer(recipe, tmp_path)
    assert compiled == []
    Trainer(replace(recipe, compile=True), tmp_path)
    assert compiled == ["SpectralEncoder", "SpectralDecoder"]


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
    assert waiting.files == {"quantizers/base.py", "quantizers/residual.py"}


def test_a_corrupt_recording_in_mid_epoch_is_named_and_counted(recipe, tmp_path, recordings, caplog):
    with tarfile.open(tmp_path / "train.tar", "w") as shard:
        shard.add(recordings / "train" / "a" / "0.wav", "good.wav")
        info = tarfile.TarInfo("bad.wav")
        info.size = 8
        shard.addfile(info, io.BytesIO(b"no sound"))
    data = replace(recipe.data, manifest=str(tmp_path / "train.tar"), shuffle_segments=8)
    trainer = Trainer(replace(recipe, data=data, steps=8, log_every=8), tmp_path / "run")
    trainer.fit()
    assert trainer.data.sampler.skips > 1
    skipped = result_of(trainer).skipped
    assert [name.endswith("train.tar/bad") for name in skipped] == [True]
    assert sum("train.tar/bad" in record.message for record in caplog.records) == 1
