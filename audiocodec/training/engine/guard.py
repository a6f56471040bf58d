"""Stops a run at a loss or gradient that is not finite, before it reaches the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from audiocodec.errors import AudioCodecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from audiocodec.training.engine.feed import Drawn

GUARDED = ("total", "grad_norm", "discriminator", "discriminator_grad_norm")
"""Scalars that stop a run when they are not finite."""


class Watched(NamedTuple):
    """What is known of one step: names of its guarded scalars, whether each is finite, and its batches."""

    step: int
    names: list[str]
    finite: Tensor
    drawn: Sequence[Drawn]


class Guard:
    """Looks at each step at once, or, where that would be waiting for a device, when it is asked to.

    Until then the device itself leaves out the steps that are not finite: the optimizers, which are fused,
    take a flag.
    """

    def __init__(
        self, folder: Path, rank: int, optimizers: Sequence[torch.optim.Optimizer], deferred: bool
    ) -> None:
        """Put the batch of a bad step into `folder`."""
        self.folder, self.rank, self.optimizers, self.deferred = folder, rank, optimizers, deferred
        self.waiting: list[Watched] = []

    def watch(self, step: int, scalars: Mapping[str, Tensor], drawn: Sequence[Drawn]) -> None:
        """Look at the scalars of a step, before the optimizers take it.

        Raises:
            AudioCodecError: one is not finite.
        """
        names = [name for name in GUARDED if name in scalars]
        finite = torch.stack([scalars[name] for name in names]).isfinite()
        self.waiting.append(Watched(step, names, finite, drawn))
        if not self.deferred:
            self.check()
            return
        for optimizer in self.optimizers:
            optimizer.found_inf = (~finite.all()).float()  # pyright: ignore[reportAttributeAccessIssue]

    def check(self) -> None:
        """Look at all steps since the last time.

        Raises:
            AudioCodecError: a scalar was not finite; the batch of the first such step is saved.
        """
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        finite: list[bool] = torch.cat([one.finite for one in waiting]).tolist()
        for one in waiting:
            good, finite = finite[: len(one.names)], finite[len(one.names) :]
            if not all(good):
                self._stop(one, good)

    def _stop(self, one: Watched, good: Sequence[bool]) -> None:
        bad = ", ".join(name for name, fine in zip(one.names, good, strict=True) if not fine)
        rank = f"-rank{self.rank}" if self.rank else ""
        path = self.folder / f"bad-batch-{one.step}{rank}.npy"
        np.save(path, torch.cat([part.scenes.wav for part in one.drawn]).cpu().numpy())
        raise AudioCodecError(
            f"{bad}: not finite at step {one.step}; the batch is in {path},"
            " a lower optim.learning_rate may help"
        )
