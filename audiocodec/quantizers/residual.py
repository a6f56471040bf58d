"""Residual quantization: each stage codes what the stages before it left over.

SoundStream, https://arxiv.org/abs/2107.03312, algorithm 1. Codes may be chosen jointly, as the nearest entry
is not always the best start for the next stage: M-algorithm search of multi-stage vector quantizers, LeBlanc
et al., "Efficient search and design procedures for robust multi-stage VQ of LPC parameters", IEEE
Transactions on Speech and Audio Processing 1(4), 1993.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Composition, Quantizer, QuantizerOutput
from audiocodec.quantizers.codebook import CHUNK_ELEMENTS, from_rows, mean_square, to_rows
from audiocodec.quantizers.codebook_quantizer import CodebookQuantizer
from audiocodec.quantizers.estimators import straight_through

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
        self.prefixes = tuple(first + n for first, _, stage in self.spans() for n in stage.prefixes)
        self.passes_identity = all(stage.passes_identity for stage in stages)
        for stages_after, stage in enumerate(reversed(stages)):
            for part in stage.modules():
                if isinstance(part, CodebookQuantizer):
                    part.stages_after = stages_after

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T] with the first `num_quantizers` quantizers.

        A tensor [B] of such numbers gives each example its own; codes have as many rows as the largest, and
        `quantized` and `loss` leave out what an example does not use.

        Straight-through stages get a residual whose gradient is that of the latents, so that each stage's
        commitment loss reaches the encoder; their sum then passes n identities, and n - 1 of them are
        subtracted. Stages with another gradient (projections, rotations) are differentiated through the
        chain of residuals as it is.
        """
        self.check_latents(latents)
        if not self.training and self.search_width > 1 and not isinstance(num_quantizers, Tensor):
            return self._forward_searched(latents, num_quantizers)
        counts = num_quantizers if isinstance(num_quantizers, Tensor) else None
        most = self.largest_num_quantizers(num_quantizers, latents.device)
        start, order = latents.float(), None
        if counts is not None:  # sorted, so that the examples that use a stage are the first ones
            order = counts.argsort(descending=True, stable=True)
            start, counts = start[order.to(start.device, non_blocking=True)], counts[order]
        residual, total, loss = start, torch.zeros_like(start), start.new_zeros(())
        codes: list[Tensor] = []
        metrics: dict[str, Tensor] = {}
        for number, (first, wanted, stage) in enumerate(self._used(most)):
            if counts is None:
                output, share = stage(residual, wanted), 1.0
            else:
                output, share = _forward_active(stage, residual, counts - first, wanted)
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
        num_quantizers = self.check_num_quantizers(num_quantizers)
        self.check_latents(latents)
        residual, codes = latents.float(), list[Tensor]()
        codebooks = [stage.search_entries() for _, _, stage in self._used(num_quantizers)]
        searched = [codebook for codebook in codebooks if codebook is not None]
        if self.search_width > 1 and len(searched) == len(codebooks):
            return from_rows(beam_search(to_rows(residual), searched, self.search_width), latents)
        for first, wanted, stage in self._used(num_quantizers):
            codes.append(stage.encode(residual, wanted))
            if first + wanted < num_quantizers:
                residual = residual - stage.decode(codes[-1])
        return torch.cat(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T], the sum over the stages."""
        num_quantizers = self.check_codes(codes)
        total = torch.zeros(codes.shape[0], self.dim, codes.shape[2], device=codes.device)
        for first, wanted, stage in self._used(
            num_quantizers
        ):  # in the order of `forward`, for the same bits
            total = total + stage.decode(codes[:, first : first + wanted])
        return total

    @torch.no_grad()
    def initialize(self, latents: Tensor) -> None:
        """Fit each stage in turn to what the stages before it leave of latents [B, D, T]."""
        residual = latents.float()
        for _, _, stage in self.spans():
            stage.initialize(residual)
            residual = residual - stage.decode(stage.encode(residual))

    def _forward_searched(self, latents: Tensor, num_quantizers: int | None) -> QuantizerOutput:
        """Do as `encode` and `decode`, in evaluation; the loss is the plain quantization error."""
        codes = self.encode(latents.detach(), num_quantizers)
        quantized = self.decode(codes).to(latents.dtype)
        loss = mean_square(latents.float() - quantized.float())
        passed = straight_through(latents, quantized)
        return QuantizerOutput(passed, codes, loss, {"commitment_loss": loss.detach()})

    def _used(self, num_quantizers: int) -> list[tuple[int, int, Quantizer]]:
        """First row, number of rows that are used, and quantizer of each stage that is used."""
        return [
            (first, min(last, num_quantizers) - first, stage)
            for first, last, stage in self.spans()
            if first < num_quantizers
        ]


def _forward_active(
    stage: Quantizer, residual: Tensor, counts: Tensor, most: int
) -> tuple[QuantizerOutput, float]:
    """Run `stage` only on the examples with positive `counts` [B], which come first.

    Returns codes of all examples, zero where not used, and the share of examples that were active.
    """
    active, batch = int((counts > 0).sum()), len(counts)
    part = residual[:active]
    output: QuantizerOutput = stage(
        part, counts[:active].clamp(max=most) if len(stage.prefixes) > 1 else most
    )
    quantized = _padded(output.quantized, batch)
    codes = F.pad(output.codes, (0, 0, 0, most - output.codes.shape[1], 0, batch - active))
    return QuantizerOutput(quantized, codes, output.loss, output.metrics), active / max(batch, 1)


def _first(tensor: Tensor, count: int) -> Tensor:
    """The first `count` examples of [B, D, T], zeros for the others."""
    return tensor if count == len(tensor) else _padded(tensor[:count], len(tensor))


def _padded(part: Tensor, batch: int) -> Tensor:
    """Examples [n, D, T], and zeros behind them up to [batch, D, T]."""
    return F.pad(part, (0, 0, 0, 0, 0, batch - len(part)))


def beam_search(vectors: Tensor, codebooks: Sequence[Tensor], width: int) -> Tensor:
    """Indices [N, stages] of entries whose sums are near `vectors` [N, D], keeping `width` paths a stage.

    `width` 1 is the usual greedy choice; work and memory grow with it. Codebooks are [K, D], coarsest first.
    """
    rows = max(1, CHUNK_ELEMENTS // (width * max(codebook.shape[0] for codebook in codebooks)))
    return torch.cat([_search(chunk, codebooks, width) for chunk in vectors.split(rows)])


def _search(vectors: Tensor, codebooks: Sequence[Tensor], width: int) -> Tensor:
    count = vectors.shape[0]
    residuals = vectors[:, None]  # [N, paths, D]
    paths = torch.zeros(count, 1, 0, dtype=torch.long, device=vectors.device)
    for codebook in codebooks:
        size = codebook.shape[0]
        # Squared error of each path continued by each entry, halved.
        scores = 0.5 * codebook.square().sum(dim=1) - residuals @ codebook.t()
        scores = scores + 0.5 * residuals.square().sum(dim=2, keepdim=True)  # [N, paths, K]
        # The best of all lie within the best of each path; two small selections are quicker than a large one.
        kept = min(width, size)
        by_path, entries = scores.topk(kept, dim=2, largest=False)
        _, order = by_path.flatten(1).topk(min(width, by_path.shape[1] * kept), dim=1, largest=False)
        parents, entries = order // kept, entries.flatten(1).gather(1, order)
        paths = paths.gather(1, parents[:, :, None].expand(-1, -1, paths.shape[2]))
        paths = torch.cat([paths, entries[:, :, None]], dim=2)
        residuals = residuals.gather(1, parents[:, :, None].expand(-1, -1, vectors.shape[1]))
        residuals = residuals - F.embedding(entries, codebook)
    return paths[:, 0]
