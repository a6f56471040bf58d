"""What stacks and products of quantizers share: rows of codes end to end, codebooks named by stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Quantizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Composition(Quantizer):
    """Several quantizers as one; a member may itself be a composition."""

    def __init__(self, stages: Sequence[Quantizer]) -> None:
        """Compose `stages`, their rows of codes one after another.

        Raises:
            ConfigError: there is no stage.
        """
        super().__init__()
        if not stages:
            raise ConfigError(f"{type(self).__name__} has no stages; give at least one")
        self.stages = nn.ModuleList(stages)
        self.codebook_sizes = tuple(size for stage in stages for size in stage.codebook_sizes)

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames that share one code, for each row."""
        return tuple(stride for _, _, stage in self.spans() for stride in stage.strides)

    def codebooks(self) -> dict[str, Tensor]:
        """Codebooks of all stages, named "<stage>.<name>"."""
        return {
            f"{i}.{name}": c for i, (_, _, s) in enumerate(self.spans()) for name, c in s.codebooks().items()
        }

    @torch.no_grad()
    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace the codebooks of all stages, or of none when any does not fit."""
        self.check_codebooks(codebooks)
        for i, (_, _, stage) in enumerate(self.spans()):
            prefix = f"{i}."
            stage.load_codebooks(
                {n.removeprefix(prefix): c for n, c in codebooks.items() if n.startswith(prefix)}
            )

    def spans(self) -> Iterator[tuple[int, int, Quantizer]]:
        """First row, row after the last, and quantizer of each stage."""
        first = 0
        for stage in self.stages:
            assert isinstance(stage, Quantizer)
            yield first, first + len(stage.codebook_sizes), stage
            first += len(stage.codebook_sizes)
