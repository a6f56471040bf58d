"""The processes of one training, behind one interface: a single one, or those of torchrun or Accelerate.

Gradients are averaged here, once a step, rather than by DistributedDataParallel: a step has several backward
passes (the balancer, discriminators), and quantizer dropout leaves stages without a gradient on some ranks.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from audiocodec.devices import resolve_device
from audiocodec.errors import require

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

PATIENCE = timedelta(hours=12)
"""Longest time that ranks wait for each other: the first one may be decoding a corpus."""


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as seen by one of them; all must call the methods in the same order.

    Attributes:
        rank: number of this process; 0 is the one that writes files.
        world_size: number of processes.
        local_rank: number of this process on its machine.
        device: device of this process.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @contextmanager
    def in_turn(self) -> Generator[None]:
        """Let rank 0 through first, then the first of each machine, then all others.

        The others find the files that the first one writes, such as decoded recordings, also if each machine
        has its own disk.
        """
        turn = 0 if self.first else 1 if self.local_rank == 0 else 2
        for _ in range(turn):
            self.wait()
        yield
        for _ in range(turn, 2):
            self.wait()

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true on any process."""
        return flag if self.world_size == 1 else bool(self.sum(torch.tensor(float(flag))) > 0)

    def differ(self, number: float) -> bool:
        """Whether `number` differs between processes."""
        return self.world_size > 1 and self.any(number != float(self.mean(torch.tensor(number).double())))

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum of `tensor` over the processes, without gradient, on the device of `tensor`."""
        if self.world_size == 1:
            return tensor
        total = tensor.detach().to(self.device, copy=True)
        dist.all_reduce(total)
        return total.to(tensor.device)

    def mean(self, tensor: Tensor) -> Tensor:
        """Mean of `tensor` over the processes, without gradient."""
        return self.sum(tensor) / self.world_size if self.world_size > 1 else tensor

    def mean_scalars(self, scalars: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
        """`scalars` with their means over the processes for `names`, which every process must have."""
        if self.world_size == 1 or not names:
            return dict(scalars)
        means = self.mean(torch.tensor([scalars[name] for name in names], dtype=torch.float64)).tolist()
        return {**scalars, **dict(zip(names, means, strict=True))}

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every process the mean gradient; a missing gradient counts as zero.

        A parameter that has no gradient on any process is left without one: its optimizer must not move it.
        """
        if self.world_size == 1:
            return
        listed = list(parameters)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in listed]
        present = torch.tensor([float(p.grad is not None) for p in listed], device=self.device)
        flat = self.mean(torch.cat([part.flatten() for part in parts] + [present]))
        *means, present = flat.split([p.numel() for p in listed] + [len(listed)])
        for parameter, mean, share in zip(listed, means, present.tolist(), strict=True):
            parameter.grad = mean.view_as(parameter) if share else None

    def share(self, module: nn.Module) -> None:
        """Give every process the weights and buffers of rank 0."""
        if self.world_size > 1:
            for tensor in [*module.parameters(), *module.buffers()]:
                dist.broadcast(tensor.detach(), src=0)

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.world_size > 1:
            dist.barrier()


def join(device: str, environment: Mapping[str, str] = os.environ) -> Processes:
    """Join the processes that torchrun or `accelerate launch` started, or be the only one.

    Raises:
        InputError: `device` is unknown or not available.
        MissingPackageError: there are other processes, and Accelerate is not installed.
    """
    if int(environment.get("WORLD_SIZE", "1")) == 1:
        return Processes(device=resolve_device(device))
    accelerate = require("accelerate", "training in several processes", "'audiocodec[train]'")
    cpu = resolve_device(device).type == "cpu"
    state = accelerate.PartialState(cpu=cpu, timeout=PATIENCE)
    assert state.device is not None, "Accelerate chooses one"
    return Processes(state.process_index, state.num_processes, state.local_process_index, state.device)
