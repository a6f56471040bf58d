"""The contract between latents and codes that every quantisation method keeps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class QuantizerOutput:
    """What a quantiser returns in training.

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
        prefixes: legal values of `num_quantizers`: a leaf (1,), a product (N,), a residual stack (1, 2, ..., N).
    """

    dim: int
    codebook_sizes: tuple[int, ...]
    prefixes: tuple[int, ...]

    @abstractmethod
    def forward(self, latents: Tensor, num_quantizers: int | None = None) -> QuantizerOutput:
        """Quantise latents [B, D, T], passing a gradient; in training mode codebooks may learn."""

    @abstractmethod
    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T] int64."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T]; the number of rows says how many were used."""

    def initialise(self, latents: Tensor) -> None:
        """Fit starting codebooks to sample latents [B, D, T]; methods that need no start do nothing."""

    def codebooks(self) -> dict[str, Tensor]:
        """Every codebook by name, the only thing adaptation may touch; {} for methods without any."""
        return {}

    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace all codebooks by those of the same names and shapes.

        Raises:
            InputError: a name is missing or unknown, or a shape differs.
        """
        mine = self.codebooks()
        if set(mine) != set(codebooks):
            raise InputError(f"codebooks are named {sorted(codebooks)}; this quantiser has {sorted(mine)}")
        for name, codebook in codebooks.items():
            if codebook.shape != mine[name].shape:
                raise InputError(f"codebook {name} is {tuple(codebook.shape)}, not {tuple(mine[name].shape)}")
        with torch.no_grad():
            for name, codebook in codebooks.items():
                mine[name].copy_(codebook)

    def bits_per_frame(self, num_quantizers: int | None = None) -> float:
        """Bits that one frame of codes carries; fractional where a codebook size is no power of two."""
        rows = self.check_prefix(num_quantizers)
        return sum(math.log2(size) for size in self.codebook_sizes[:rows])

    def check_prefix(self, num_quantizers: int | None) -> int:
        """Resolve None to all rows and refuse a number that cannot be cut here.

        Raises:
            InputError: `num_quantizers` is not in `prefixes`.
        """
        if num_quantizers is None:
            return self.prefixes[-1]
        if num_quantizers not in self.prefixes:
            raise InputError(f"num_quantizers is {num_quantizers}; allowed are {self.prefixes}")
        return num_quantizers

    def check_codes(self, codes: Tensor) -> int:
        """Give the number of rows in codes [B, N, T], or refuse rows and indices out of range.

        Raises:
            InputError: the number of rows is not in `prefixes`, or an index is outside its codebook.
        """
        if codes.dim() != 3:
            raise InputError(f"codes have shape {tuple(codes.shape)}; expected [B, N, T]")
        rows = self.check_prefix(codes.shape[1])
        sizes = torch.tensor(self.codebook_sizes[:rows], device=codes.device)[None, :, None]
        if bool(((codes < 0) | (codes >= sizes)).any()):
            raise InputError(f"codes reach {int(codes.max())}; allowed are 0 to {self.codebook_sizes[:rows]} - 1")
        return rows
