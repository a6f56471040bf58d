"""The contract between latents and codes that every quantization method keeps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        builds_stack: takes `num_quantizers` and is a residual stack already.
        option_groups: constructor arguments that are dataclasses of further options.
    """

    dim: int
    codebook_sizes: tuple[int, ...]
    prefixes: tuple[int, ...]
    passes_identity: bool = True
    builds_stack: ClassVar[bool] = False
    option_groups: ClassVar[Mapping[str, type]] = {}

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
        """Refuse codebooks of other names or shapes than mine, or with values that are not finite.

        Raises:
            InputError: says which.
        """
        mine = self.codebooks()
        if set(mine) != set(codebooks):
            raise InputError(f"codebooks are named {sorted(codebooks)}; this quantizer has {sorted(mine)}")
        for name, codebook in codebooks.items():
            if codebook.shape != mine[name].shape:
                raise InputError(f"codebook {name} is {tuple(codebook.shape)}, not {tuple(mine[name].shape)}")
            if not bool(codebook.isfinite().all()):
                raise InputError(f"codebook {name} has values that are not finite; fit it anew")

    def search_entries(self) -> Tensor | None:
        """The codebook [K, D] of which `encode` takes the nearest entry, for joint search in a stack.

        None where the choice is made in another way.
        """
        return None

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames that share one code, for each row; all 1 except in multi-scale compositions."""
        return (1,) * len(self.codebook_sizes)

    def bits_per_frame(self, num_quantizers: int | None = None) -> float:
        """Bits that one frame of codes carries; fractional where a codebook size is no power of two."""
        rows = self.check_prefix(num_quantizers)
        sizes_and_strides = zip(self.codebook_sizes[:rows], self.strides[:rows], strict=True)
        return sum(math.log2(size) / stride for size, stride in sizes_and_strides)

    def check_prefix(self, num_quantizers: int | Tensor | None) -> int:
        """Give the number of rows that is meant: all for None; refuse a number that cannot be cut here.

        Raises:
            InputError: `num_quantizers` is not in `prefixes`, or differs by example where it may not.
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

    def check_latents(self, latents: Tensor) -> None:
        """Refuse latents that are not [B, D, T] with my width.

        Raises:
            InputError: says the shape given and the width expected.
        """
        if latents.dim() != 3 or latents.shape[1] != self.dim:
            raise InputError(f"latents have shape {tuple(latents.shape)}; expected [B, {self.dim}, T]")

    def check_codes(self, codes: Tensor) -> int:
        """Give the number of rows in codes [B, N, T], or refuse rows and indices out of range.

        Raises:
            InputError: codes are no whole numbers, their number of rows is not in `prefixes`, or an index is
                outside its codebook.
        """
        if codes.dim() != 3 or codes.is_floating_point():
            raise InputError(
                f"codes are {codes.dtype} of shape {tuple(codes.shape)}; expected int64 [B, N, T]"
            )
        rows = self.check_prefix(codes.shape[1])
        for row, size in enumerate(self.codebook_sizes[:rows]):
            low, high = (int(bound) for bound in codes[:, row].aminmax()) if codes.numel() else (0, 0)
            if low < 0 or high >= size:
                found = low if low < 0 else high
                raise InputError(f"codes[:, {row}] holds {found}; allowed are 0 to {size - 1}")
        return rows
