"""Residual quantisation: each stage codes what the stages before it left over.

SoundStream, https://arxiv.org/abs/2107.03312, algorithm 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.estimators import straight_through

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class ResidualQuantizer(Quantizer):
    """A stack of quantisers of one width; any prefix that ends at a stage is a legal, coarser description."""

    def __init__(self, stages: Sequence[Quantizer]) -> None:
        """Compose `stages`, coarsest first; a stage may itself be a composition.

        Raises:
            ConfigError: there is no stage, or their widths differ.
        """
        super().__init__()
        if len({stage.dim for stage in stages}) != 1:
            raise ConfigError(f"residual stages have widths {[stage.dim for stage in stages]}; they must be equal")
        self.stages = nn.ModuleList(stages)
        self.dim = stages[0].dim
        self.codebook_sizes = tuple(size for stage in stages for size in stage.codebook_sizes)
        self.prefixes = self._prefixes()

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantise latents [B, D, T] with the first `num_quantizers` rows.

        A tensor [B] of such numbers gives each example its own (quantiser dropout per example, as in DAC);
        all rows are then returned, and `quantized` and `loss` leave out what an example does not use.
        """
        counts = num_quantizers if isinstance(num_quantizers, Tensor) else None
        rows = int(counts.max()) if counts is not None else self.check_prefix(num_quantizers)  # type: ignore[arg-type]
        residual, total = latents, torch.zeros_like(latents)
        loss, codes, metrics = latents.new_zeros(()), [], {}
        for number, (first, last, stage) in enumerate(self._used(rows)):
            # Examples that stop earlier are left out, of the stage's statistics too.
            active = None if counts is None else (counts >= last).nonzero()[:, 0]
            part = residual if active is None else residual[active]
            output = stage(part, min(rows, last) - first)
            share = part.shape[0] / latents.shape[0]
            quantized = output.quantized.detach()
            if active is None:
                stage_codes = output.codes
            else:
                quantized = torch.zeros_like(latents).index_copy(0, active, quantized)
                stage_codes = output.codes.new_zeros(latents.shape[0], *output.codes.shape[1:])
                stage_codes[active] = output.codes
            residual = residual - quantized
            total = total + quantized
            loss = loss + share * output.loss
            codes.append(stage_codes)
            metrics |= {f"{name}/{number}": value for name, value in output.metrics.items()}
        return QuantizerOutput(straight_through(latents, total), torch.cat(codes, dim=1), loss, metrics)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T]."""
        rows = self.check_prefix(num_quantizers)
        residual, codes = latents, []
        for first, last, stage in self._used(rows):
            codes.append(stage.encode(residual, min(rows, last) - first))
            if last < rows:
                residual = residual - stage.decode(codes[-1])
        return torch.cat(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T], the sum over the stages."""
        rows = self.check_codes(codes)
        parts = [stage.decode(codes[:, first : min(rows, last)]) for first, last, stage in self._used(rows)]
        return torch.stack(parts).sum(dim=0)

    @torch.no_grad()
    def initialise(self, latents: Tensor) -> None:
        """Fit each stage in turn to what the stages before it leave of latents [B, D, T]."""
        residual = latents
        for _, _, stage in self._used(self.prefixes[-1]):
            stage.initialise(residual)
            residual = residual - stage.decode(stage.encode(residual))

    def codebooks(self) -> dict[str, Tensor]:
        """Codebooks of all stages, named "<stage>.<name>"."""
        return {f"{i}.{name}": c for i, (_, _, s) in enumerate(self._spans()) for name, c in s.codebooks().items()}

    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace the codebooks of all stages."""
        super().load_codebooks(codebooks)
        for i, (_, _, stage) in enumerate(self._spans()):
            prefix = f"{i}."
            stage.load_codebooks({n.removeprefix(prefix): c for n, c in codebooks.items() if n.startswith(prefix)})

    def _spans(self) -> Iterator[tuple[int, int, Quantizer]]:
        first = 0
        for stage in self.stages:
            assert isinstance(stage, Quantizer)
            yield first, first + len(stage.codebook_sizes), stage
            first += len(stage.codebook_sizes)

    def _used(self, rows: int) -> list[tuple[int, int, Quantizer]]:
        return [span for span in self._spans() if span[0] < rows]

    def _prefixes(self) -> tuple[int, ...]:
        return tuple(first + rows for first, _, stage in self._spans() for rows in stage.prefixes)
