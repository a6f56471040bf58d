"""The contract between latents and codes that every quantization method keeps, and its three kinds.

A leaf gives one row of codes, a composition joins several quantizers, a wrapper stands around one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from audiocodec.errors import ConfigError, InputError
from audiocodec.quantizers.codebook import (
    check_size,
    cluster_counts,
    from_rows,
    perplexity_and_usage,
    to_rows,
)
from audiocodec.ranks import gather_rows, max_over_ranks, sum_over_ranks

Terms = dict[str, tuple[float, Tensor]]
"""Weights and unweighted values of the terms of a loss, by name."""


@dataclass(frozen=True)
class QuantizerOutput:
    """What a quantizer returns in training.

    Attributes:
        quantized: [B, D, T], gradient passes to the latents.
        codes: [B, N, T] int64, row n in [0, codebook_sizes[n]).
        loss: [], already weighted: the training loop only adds it.
        metrics: scalars to log, such as "perplexity", "usage", "commitment_loss".
    """

    quantized: Tensor
    codes: Tensor
    loss: Tensor
    metrics: dict[str, Tensor]


class Quantizer(nn.Module, ABC):
    """Maps latents [B, D, T] to codes [B, N, T] and back.

    Attributes:
        dim: width D of the latents.
        codebook_sizes: number of entries for each row of codes.
        prefixes: legal values of `num_quantizers`: leaf (1,), product (N,), residual stack (1, 2, ..., N).
        passes_identity: the gradient of `quantized` with respect to the latents is the identity
            (straight-through), so a stack may count it once for all its stages.
        builds_stack: the constructor takes `num_quantizers` and builds a whole residual stack.
        option_groups: default values of constructor arguments that are dataclasses of further options.
    """

    dim: int
    codebook_sizes: tuple[int, ...]
    prefixes: tuple[int, ...]
    passes_identity: bool = True
    builds_stack: ClassVar[bool] = False
    option_groups: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T], passing a gradient; in training mode codebooks may learn.

        A tensor [B] of legal numbers gives each example its own: quantizer dropout per example, as in DAC.
        """

    @abstractmethod
    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T] int64."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T]; the number of rows says how many were used."""

    def initialize(self, latents: Tensor) -> None:
        """Fit starting codebooks to sample latents [B, D, T]; methods that need no start do nothing."""

    def codebooks(self) -> dict[str, Tensor]:
        """Every codebook by name, the only thing adaptation may touch; {} for methods without any."""
        return {}

    @torch.no_grad()
    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace all codebooks by those of the same names and shapes.

        Raises:
            InputError: a name is missing or unknown, a shape differs, or a value is not finite.
        """
        self.check_codebooks(codebooks)
        for name, codebook in self.codebooks().items():
            codebook.copy_(codebooks[name])

    def check_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Refuse codebooks whose names or shapes differ from those of this quantizer, or with bad values.

        Raises:
            InputError: a name is missing or unknown, a shape differs, or a value is not finite.
        """
        own = self.codebooks()
        if set(own) != set(codebooks):
            raise InputError(f"codebooks are named {sorted(codebooks)}; this quantizer has {sorted(own)}")
        for name, codebook in codebooks.items():
            if codebook.shape != own[name].shape:
                raise InputError(f"codebook {name} is {tuple(codebook.shape)}, not {tuple(own[name].shape)}")
            if not bool(codebook.isfinite().all()):
                raise InputError(f"codebook {name} has values that are not finite; fit it anew")

    def search_entries(self) -> Tensor | None:
        """The codebook [K, D] of which `encode` takes the nearest entry, for joint search in a stack.

        None for methods that choose in another way.
        """
        return None

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames that share one code, for each row; all 1 except in multi-scale compositions."""
        return (1,) * len(self.codebook_sizes)

    def bits_per_frame(self, num_quantizers: int | None = None) -> float:
        """Bits that one frame of codes carries; fractional if a codebook size is not a power of two."""
        used = self.check_num_quantizers(num_quantizers)
        sizes_and_strides = zip(self.codebook_sizes[:used], self.strides[:used], strict=True)
        return sum(math.log2(size) / stride for size, stride in sizes_and_strides)

    def check_num_quantizers(self, num_quantizers: int | Tensor | None) -> int:
        """Return the number as an int, all of them for None.

        Raises:
            InputError: `num_quantizers` is not in `prefixes`, or is a tensor of different numbers.
        """
        if num_quantizers is None:
            return self.prefixes[-1]
        if isinstance(num_quantizers, Tensor):
            distinct = num_quantizers.unique()
            if len(distinct) != 1:
                raise InputError(
                    f"num_quantizers differs by example ({distinct.tolist()}); allowed is one number here"
                )
            num_quantizers = int(distinct)
        if num_quantizers not in self.prefixes:
            raise InputError(f"num_quantizers is {num_quantizers}; allowed are {self.prefixes}")
        return num_quantizers

    def largest_num_quantizers(self, num_quantizers: int | Tensor | None, device: torch.device) -> int:
        """The largest number of any example; all ranks agree on it, as stages may exchange statistics.

        Raises:
            InputError: a number is not in `prefixes`.
        """
        if not isinstance(num_quantizers, Tensor):
            return self.check_num_quantizers(num_quantizers)
        for number in num_quantizers.unique().tolist():
            self.check_num_quantizers(number)
        largest = int(num_quantizers.max()) if num_quantizers.numel() else self.prefixes[0]
        return max_over_ranks(largest, device)

    def check_latents(self, latents: Tensor) -> None:
        """Refuse latents that are not [B, D, T] with the width of this quantizer.

        Raises:
            InputError: says the shape given and the width expected.
        """
        if latents.dim() != 3 or latents.shape[1] != self.dim:
            raise InputError(f"latents have shape {tuple(latents.shape)}; expected [B, {self.dim}, T]")

    def check_codes(self, codes: Tensor) -> int:
        """Return the number of quantizers N that codes [B, N, T] come from.

        Raises:
            InputError: the shape or type is not that of codes, N is not in `prefixes`, or an index is
                outside its codebook.
        """
        if codes.dim() != 3 or codes.is_floating_point():
            raise InputError(
                f"codes are {codes.dtype} of shape {tuple(codes.shape)}; expected int64 [B, N, T]"
            )
        num_quantizers = self.check_num_quantizers(codes.shape[1])
        for row, size in enumerate(self.codebook_sizes[:num_quantizers]):
            low, high = (int(bound) for bound in codes[:, row].aminmax()) if codes.numel() else (0, 0)
            if low < 0 or high >= size:
                wrong = low if low < 0 else high
                raise InputError(f"codes[:, {row}] holds {wrong}; allowed are 0 to {size - 1}")
        return num_quantizers


class LeafQuantizer(Quantizer):
    """One row of codes: each latent vector becomes one index, independently of all others.

    A method says how, for vectors [N, D] in single precision and with autocast off: `quantize` in training,
    `choose` and `restore` for `encode` and `decode`, `fit` for the start.
    """

    def __init__(self, dim: int, codebook_size: int) -> None:
        """Latents of width `dim`, `codebook_size` entries.

        Raises:
            ConfigError: one of them is below 1.
        """
        super().__init__()
        check_size(dim, codebook_size)
        self.dim, self.codebook_sizes, self.prefixes = dim, (codebook_size,), (1,)

    @abstractmethod
    def quantize(self, vectors: Tensor) -> tuple[Tensor, Tensor, Terms]:
        """Indices [N], output [N, D] that passes a gradient, and the terms of the loss."""

    @abstractmethod
    def choose(self, vectors: Tensor) -> Tensor:
        """Vectors [N, D] -> indices [N]."""

    @abstractmethod
    def restore(self, indices: Tensor) -> Tensor:
        """Indices [N] -> output [N, D]."""

    def fit(self, vectors: Tensor) -> None:
        """Start from sample vectors [N, D] of all ranks, N > 0."""

    def after_step(self, vectors: Tensor, indices: Tensor, counts: Tensor) -> None:
        """Called after each training step's `quantize`; counts [K] of the indices are of all ranks."""

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T]; in training mode the codebook may take a step."""
        self.check_num_quantizers(num_quantizers)
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            vectors = to_rows(latents)
            indices, rows, terms = self.quantize(vectors)
            quantized = from_rows(rows, latents).to(latents.dtype)
            counts = sum_over_ranks(cluster_counts(indices, self.codebook_sizes[0]))
            if self.training:
                self.after_step(vectors.detach(), indices, counts)
        codes = indices.view(latents.shape[0], 1, latents.shape[2])
        weighted = [weight * value for weight, value in terms.values()]
        loss = torch.stack(weighted).sum() if weighted else vectors.new_zeros(())
        metrics = {name: value.detach() for name, (_, value) in terms.items()} | perplexity_and_usage(counts)
        return QuantizerOutput(quantized, codes, loss, metrics)

    @torch.no_grad()
    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, 1, T]."""
        self.check_num_quantizers(num_quantizers)
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            indices = self.choose(to_rows(latents))
        return indices.view(latents.shape[0], 1, latents.shape[2])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, 1, T] -> quantized [B, D, T]."""
        self.check_codes(codes)
        with torch.autocast(codes.device.type, enabled=False):
            return from_rows(self.restore(codes[:, 0].reshape(-1)), codes)

    @torch.no_grad()
    def initialize(self, latents: Tensor) -> None:
        """Start from sample latents [B, D, T], those of all ranks together."""
        self.check_latents(latents)
        vectors = gather_rows(to_rows(latents))
        if vectors.shape[0]:
            self.fit(vectors)


class Composition(Quantizer):
    """Several quantizers as one, their rows of codes end to end; a member may itself be a composition."""

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
            start = f"{i}."
            own = {n.removeprefix(start): c for n, c in codebooks.items() if n.startswith(start)}
            stage.load_codebooks(own)

    def spans(self) -> Iterator[tuple[int, int, Quantizer]]:
        """First row, row after the last, and quantizer of each stage."""
        first = 0
        for stage in self.stages:
            assert isinstance(stage, Quantizer)
            yield first, first + len(stage.codebook_sizes), stage
            first += len(stage.codebook_sizes)


class WrappedQuantizer(Quantizer):
    """Stands around another quantizer; a subclass changes or watches what goes in or comes out."""

    def __init__(self, inner: Quantizer) -> None:
        """Do as `inner` does."""
        super().__init__()
        self.inner = inner
        self.dim, self.codebook_sizes, self.prefixes = inner.dim, inner.codebook_sizes, inner.prefixes
        self.passes_identity = inner.passes_identity

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames that share one code, for each row."""
        return self.inner.strides

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T]."""
        return self.inner(latents, num_quantizers)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T]."""
        return self.inner.encode(latents, num_quantizers)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T]."""
        return self.inner.decode(codes)

    def initialize(self, latents: Tensor) -> None:
        """Fit starting codebooks to sample latents [B, D, T]."""
        self.inner.initialize(latents)

    def codebooks(self) -> dict[str, Tensor]:
        """Codebooks of the quantizer inside."""
        return self.inner.codebooks()

    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace the codebooks of the quantizer inside."""
        self.inner.load_codebooks(codebooks)
