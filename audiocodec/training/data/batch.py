"""What one step learns from: segments, and where each of them comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Example:
    """Where a segment was taken from: some effects must know (no babble of the same speaker), and logs.

    Attributes:
        path: of the recording, as text; a member of a shard is `SHARD/KEY`.
        speaker: who speaks, told apart within a source; empty when not known.
        source: the corpus.
        start: first sample of the segment in the recording, at the rate of the model.
        index: number of the recording in its store; -1 where recordings are not numbered.
    """

    path: str
    speaker: str
    source: str
    start: int
    index: int = -1


@dataclass(frozen=True)
class Batch:
    """Segments [B, 1, L], and what each of them is."""

    wav: Tensor
    examples: tuple[Example, ...]


class Sampler(Protocol):
    """Gives the batches of a run; each depends on its random generator and its number alone.

    Attributes:
        segment_length: samples L of a segment.
        skipped: reason for each recording that could not be used so far, by name.
        skips: how often one could not be used so far.
    """

    segment_length: int

    @property
    def skipped(self) -> Mapping[str, str]:
        """See above."""
        ...

    @property
    def skips(self) -> int:
        """See above."""
        ...

    def draw(self, rng: np.random.Generator, step: int | None = None) -> Batch:
        """Draw batch number `step`, counted on this rank from 0; None: the one after the last drawn.

        May be called from several threads at once, for steps not far from each other.
        """
        ...

    def batch(self, rng: np.random.Generator) -> Tensor:
        """Draw the next batch [B, 1, L] alone."""
        ...


def step_rng(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """The random generator of a step; ranks and steps never share randomness.

    Rank 0 has the generator of a run on one device.
    """
    import numpy as np

    return np.random.default_rng((seed, step, rank) if rank else (seed, step))
