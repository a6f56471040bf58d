"""Residual quantization: each stage codes what the stages before it left over.

SoundStream, https://arxiv.org/abs/2107.03312, algorithm 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.codebook import from_rows, mean_square, to_rows
from audiocodec.quantizers.codebook_quantizer import CodebookQuantizer
from audiocodec.quantizers.composition import Composition
from audiocodec.quantizers.estimators import straight_through
from audiocodec.quantizers.ranks import max_over_ranks
from audiocodec.quantizers.search import beam_search

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SEARCH_WIDTH = 64
"""Work and memory grow with the width, and a configuration may come from outside."""


class ResidualQuantizer(Composition):
    """A stack of quantizers of one width; any prefix that ends at a stage is a legal, coarser description."""

    def __init__(self, stages: Sequence[Quantizer], search_width: int = 1) -> None:
        """Compose `stages`, coarsest first.

        `search_width` is the number of paths that `encode` keeps at each stage; 1 takes the nearest entry of
        each stage at once, as training always does.

        Raises:
            ConfigError: there is no stage, their widths differ, or `search_width` is not 1 to 64.
        """
        super().__init__(stages)
        if not 1 <= search_width <= MAX_SEARCH_WIDTH:
            raise ConfigError(f"search_width is {search_width}; allowed are 1 to {MAX_SEARCH_WIDTH}")
        self.search_width = search_width
        if len({stage.dim for stage in stages}) != 1:
            raise ConfigError(
                f"residual stages have widths {[stage.dim for stage in stages]}; they must be equal"
            )
        self.dim = stages[0].dim
        self.prefixes = tuple(first + rows for first, _, stage in self.spans() for rows in stage.prefixes)
        self.passes_identity = all(stage.passes_identity for stage in stages)
        for stages_after, stage in enumerate(reversed(stages)):
            for part in stage.modules():
                if isinstance(part, CodebookQuantizer):
                    part.stages_after = stages_after

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T] with the first `num_quantizers` rows.

        A tensor [B] of such numbers gives each example its own; the rows of the largest are returned, and
        `quantized` and `loss` leave out what an example does not use.

        Straight-through stages get a residual whose gradient is that of the latents, so that each stage's
        commitment loss reaches the encoder; of the n identities that their sum then passes, n - 1 are taken
        off. Stages with another gradient (projections, rotations) are differentiated through the chain of
        residuals as it is.
        """
        self.check_latents(latents)
        if not self.training and self.search_width > 1 and not isinstance(num_quantizers, Tensor):
            return self._forward_searched(latents, num_quantizers)
        counts = num_quantizers if isinstance(num_quantizers, Tensor) else None
        rows = (
            self.check_prefix(num_quantizers)
            if counts is None
            else self._check_counts(counts, latents.device)
        )
        start, order = latents.float(), None
        if counts is not None:  # the most first: those that use a stage lie together, and need not be picked
            order = counts.argsort(descending=True, stable=True)
            start, counts = start[order.to(start.device, non_blocking=True)], counts[order]
        residual, total, loss = start, torch.zeros_like(start), start.new_zeros(())
        codes: list[Tensor] = []
        metrics: dict[str, Tensor] = {}
        for number, (first, last, stage) in enumerate(self._used(rows)):
            if counts is None:
                output, share = stage(residual, min(rows, last) - first), 1.0
            else:
                output, share = _forward_active(stage, residual, counts - first, min(rows, last) - first)
            residual = residual - (output.quantized.detach() if self.passes_identity else output.quantized)
            total = total + output.quantized
            if number and self.passes_identity:
                used = len(start) if counts is None else int((counts > first).sum())
                total = total - _first(start - start.detach(), used)
            loss = loss + share * output.loss
            codes.append(output.codes)
            metrics |= {f"{name}/{number}": value for name, value in output.metrics.items()}
        chosen = torch.cat(codes, dim=1)
        if order is not None:
            back = order.argsort().to(start.device, non_blocking=True)
            total, chosen = total[back], chosen[back]
        return QuantizerOutput(total.to(latents.dtype), chosen, loss, metrics)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T]."""
        rows = self.check_prefix(num_quantizers)
        self.check_latents(latents)
        residual, codes = latents.float(), list[Tensor]()
        codebooks = [stage.search_entries() for _, _, stage in self._used(rows)]
        searched = [codebook for codebook in codebooks if codebook is not None]
        if self.search_width > 1 and len(searched) == len(codebooks):
            indices = beam_search(to_rows(residual), searched, self.search_width)
            return from_rows(indices, latents)
        for first, last, stage in self._used(rows):
            codes.append(stage.encode(residual, min(rows, last) - first))
            if last < rows:
                residual = residual - stage.decode(codes[-1])
        return torch.cat(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T], the sum over the stages."""
        rows = self.check_codes(codes)
        total = torch.zeros(codes.shape[0], self.dim, codes.shape[2], device=codes.device)
        for first, last, stage in self._used(rows):  # in the order of `forward`, for the same last bit
            total = total + stage.decode(codes[:, first : min(rows, last)])
        return total

    @torch.no_grad()
    def initialize(self, latents: Tensor) -> None:
        """Fit each stage in turn to what the stages before it leave of latents [B, D, T]."""
        residual = latents.float()
        for _, _, stage in self.spans():
            stage.initialize(residual)
            residual = residual - stage.decode(stage.encode(residual))

    def _forward_searched(self, latents: Tensor, num_quantizers: int | None) -> QuantizerOutput:
        """What `encode` and `decode` give, in evaluation; the loss is the plain quantization error."""
        codes = self.encode(latents.detach(), num_quantizers)
        quantized = self.decode(codes).to(latents.dtype)
        loss = mean_square(latents.float() - quantized.float())
        passed = straight_through(latents, quantized)
        return QuantizerOutput(passed, codes, loss, {"commitment_loss": loss.detach()})

    def _used(self, rows: int) -> list[tuple[int, int, Quantizer]]:
        return [span for span in self.spans() if span[0] < rows]

    def _check_counts(self, counts: Tensor, device: torch.device) -> int:
        for count in counts.unique().tolist():
            self.check_prefix(count)
        # All ranks run as many stages as any, as stages may exchange statistics.
        return max_over_ranks(int(counts.max()) if counts.numel() else self.prefixes[0], device)


def _forward_active(
    stage: Quantizer, residual: Tensor, counts: Tensor, rows: int
) -> tuple[QuantizerOutput, float]:
    """Run `stage` on the examples with positive `counts` [B], which come first: the others stay out of it.

    Returns codes of all examples, zero where not used, and the share of examples that were active.
    """
    active, batch = int((counts > 0).sum()), len(counts)
    part = residual[:active]
    output: QuantizerOutput = stage(
        part, counts[:active].clamp(max=rows) if len(stage.prefixes) > 1 else rows
    )
    quantized = _padded(output.quantized, batch)
    codes = F.pad(output.codes, (0, 0, 0, rows - output.codes.shape[1], 0, batch - active))
    return QuantizerOutput(quantized, codes, output.loss, output.metrics), active / max(batch, 1)


def _first(tensor: Tensor, count: int) -> Tensor:
    """The first `count` examples of [B, D, T], zeros for the others."""
    return tensor if count == len(tensor) else _padded(tensor[:count], len(tensor))


def _padded(part: Tensor, batch: int) -> Tensor:
    """Examples [n, D, T], and zeros behind them up to [batch, D, T]."""
    return F.pad(part, (0, 0, 0, 0, 0, batch - len(part)))
