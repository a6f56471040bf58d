"""Two processes that train together: equal codebooks and weights, the loss of one with twice the batch."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file
from torch import nn

from audiocodec.config import dump_yaml, load_config
from audiocodec.errors import InputError, MissingPackageError
from audiocodec.training import processes
from audiocodec.training.adversarial import AdversarialConfig
from audiocodec.training.checkpoints import processes_of
from audiocodec.training.config import TrainConfig
from audiocodec.training.discriminators import DiscriminatorConfig, LightConfig
from audiocodec.training.inputs import Feed
from audiocodec.training.loop import Trainer
from audiocodec.training.processes import Processes, join

STEPS = 4


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _assert_equal_on_all(trainer: Trainer) -> None:
    """Weights, codebooks and statistics, discriminators and both optimizers."""
    tensors = [*trainer.model.parameters(), *trainer.model.buffers()]
    optimizers = [trainer.optimizer]
    if trainer.objective.adversary is not None:
        tensors += trainer.objective.adversary.learning
        optimizers.append(trainer.objective.adversary.optimizer)
    tensors += [
        value for o in optimizers for state in o.state_dict()["state"].values() for value in state.values()
    ]
    for tensor in tensors:
        others = [torch.empty_like(tensor) for _ in range(2)]
        dist.all_gather(others, tensor.detach().contiguous())
        assert torch.equal(others[0], others[1]), (others[0] - others[1]).abs().max()


def _run(rank: int, port: int, folder: Path) -> None:
    """What each of two processes does; rank 0 leaves what it found."""
    torch.set_num_threads(1)
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in place.items()} | {"MASTER_ADDR": "127.0.0.1"}
    together = join("cpu")
    assert (together.rank, together.world_size, together.first) == (rank, 2, rank == 0)
    _check_functions(together)
    recipe = load_config(TrainConfig, folder / "recipe.yaml")
    trainer = Trainer(recipe, folder / "untrained", processes=together)
    trainer.start()
    _assert_equal_on_all(trainer)
    recipe = replace(recipe, start=str(folder / "alone" / "model"))
    trainer = Trainer(recipe, folder / "plain", processes=together)
    told = [{name: float(value) for name, value in trainer.step().items()} for _ in range(STEPS)]
    _assert_equal_on_all(trainer)
    if rank == 0:
        (folder / "told.json").write_text(json.dumps(told))
    kinds = DiscriminatorConfig(kinds=("light",), light=LightConfig(window_lengths=(256,), channels=4))
    against = replace(recipe, adversarial=AdversarialConfig(kinds), steps=5, validate_seconds=3.0)
    trainer = Trainer(against, folder / "fit", processes=together)
    asked = iter([False, False, rank == 1, True])
    trainer.fit(stop=lambda: next(asked))  # a signal to one process stops all
    assert trainer.step_number == 2
    resumed = Trainer(against, folder / "fit", processes=together)
    assert resumed.resume()
    resumed.fit()
    _assert_equal_on_all(resumed)
    dist.destroy_process_group()


def _check_functions(together: Processes) -> None:
    rank = together.rank
    assert together.any(rank == 1)
    assert not together.any(False)
    assert together.differ(rank)
    assert not together.differ(3)
    assert together.mean(torch.tensor([1.0 + rank])).tolist() == [1.5]
    means = together.mean_scalars({"mel": float(rank), "own": 7.0 + rank}, ["mel"])
    assert means == {"mel": 0.5, "own": 7.0 + rank}
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
    parameters[0].grad = torch.full((2,), 1.0 + rank)
    if rank == 1:
        parameters[1].grad = torch.ones(2)  # not in use on the other
    together.average_gradients(parameters)
    assert parameters[0].grad.tolist() == [1.5, 1.5]
    assert parameters[1].grad.tolist() == [0.5, 0.5]
    assert parameters[2].grad is None
    module = nn.Linear(1, 1)
    with torch.no_grad():
        module.weight.fill_(rank)
    together.share(module)
    assert float(module.weight.detach()) == 0


class Doubled(Feed):
    """The batches of two ranks as one."""

    def __call__(self, step):
        (first,), (second,) = (
            Feed(self.sampler, self.prefixes.tolist(), self.favored.tolist(), seed=self.seed, rank=rank)(step)
            for rank in (0, 1)
        )
        both = {
            name: torch.cat([getattr(first.scenes, name), getattr(second.scenes, name)])
            for name in ("wav", "target")
        }
        numbers = torch.cat([first.num_quantizers, second.num_quantizers])
        return [first._replace(scenes=first.scenes._replace(**both), num_quantizers=numbers)]


@pytest.mark.slow
def test_two_processes_train_as_one(recipe, tmp_path):
    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this torch has no gloo")
    (tmp_path / "recipe.yaml").write_text(dump_yaml(recipe))
    alone = Trainer(recipe, tmp_path / "alone")
    alone.start()
    alone.export()
    mp.spawn(_run, args=(_free_port(), tmp_path), nprocs=2)
    feed = alone.feed
    alone.feed = Doubled(feed.sampler, feed.prefixes.tolist(), feed.favored.tolist(), seed=feed.seed)
    for found in json.loads((tmp_path / "told.json").read_text()):
        expected = {name: float(value) for name, value in alone.step().items()}
        for name in ("total", "grad_norm"):
            assert found[name] == pytest.approx(expected[name], rel=1e-4), name
    checkpoint = load_file(tmp_path / "fit" / "checkpoint-000000005.safetensors")
    assert any(name.startswith("discriminator_optimizer/") for name in checkpoint)
    assert processes_of(tmp_path / "fit" / "checkpoint-000000005.safetensors") == 2
    log = [json.loads(line) for line in (tmp_path / "fit" / "log.jsonl").read_text().splitlines()]
    assert [(line["group"], line["step"]) for line in log] == [("train", 4), ("train", 5), ("valid", 5)]
    assert log[2]["unscored"] == 0


def test_one_process_needs_nobody():
    alone = join("cpu", {})
    assert alone == Processes()
    with alone.in_turn():
        pass
    tensor = torch.ones(2)
    assert alone.mean(tensor) is tensor
    assert alone.mean_scalars({"mel": 1.0}, ["mel"]) == {"mel": 1.0}
    with pytest.raises(InputError, match="tpu"):
        join("tpu", {})


def test_in_turn_the_first_goes_first(monkeypatch):
    """Each process meets the others twice in all, whatever its turn."""
    waited = []
    monkeypatch.setattr(processes, "dist", SimpleNamespace(barrier=lambda: waited.append("wait")))
    for rank, local_rank, turn in ((0, 0, 0), (1, 1, 2), (2, 0, 1), (3, 1, 2)):
        waited.clear()
        with Processes(rank, 4, local_rank).in_turn():
            waited.append("go")
        assert waited.index("go") == turn
        assert waited.count("wait") == 2


def test_accelerate_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'audiocodec\[train\]'"):
        join("cpu", {"WORLD_SIZE": "2"})


DOCUMENTED = re.findall(
    r"^((?:torchrun|accelerate launch --multi_gpu) .*) -m audiocodec train ",
    (Path(__file__).parents[2] / "docs" / "guide" / "train.md").read_text(),
    re.MULTILINE,
)
MODULES = {"torchrun": "torch.distributed.run", "accelerate": "accelerate.commands.launch"}
PORTS = {"torchrun": "--master_port", "accelerate": "--main_process_port"}


def test_two_ways_are_documented():
    assert [launch.split()[0] for launch in DOCUMENTED] == ["accelerate", "torchrun"]


@pytest.mark.slow
@pytest.mark.parametrize("launch", DOCUMENTED)
def test_the_documented_commands_start_two_processes(recipe, tmp_path, launch):
    """As many as the command of the documentation asks for, but no more than two; the CPU is enough."""
    (tmp_path / "recipe.yaml").write_text(dump_yaml(replace(recipe, steps=3, log_every=1)))
    program, *options = launch.replace(" 4", " 2").replace("accelerate launch", "accelerate").split()
    command = [sys.executable, "-m", MODULES[program], PORTS[program], str(_free_port()), *options]
    done = subprocess.run(
        [
            *command,
            "-m",
            "audiocodec",
            "train",
            "recipe.yaml",
            "--output",
            "run",
            "--json",
            "--device",
            "cpu",
        ],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 3]
    assert lines[-1]["processes"] == 2
    assert processes_of(tmp_path / "run" / "checkpoint-000000003.safetensors") == 2
