"""Coarser frame rates below finer ones: SNAC, https://arxiv.org/abs/2410.14411, after VQ-VAE-2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.residual import ResidualQuantizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class StridedQuantizer(Quantizer):
    """A quantizer for averages over `stride` frames; codes stay rectangular, each repeated for its frames.

    The last average is over what frames are left. In pieces, encode multiples of `stride` frames.
    """

    def __init__(self, inner: Quantizer, stride: int) -> None:
        """Give `inner` one vector for each `stride` frames.

        Raises:
            ConfigError: `stride` is below 1.
        """
        super().__init__()
        if stride < 1:
            raise ConfigError(f"stride is {stride}; allowed are whole numbers from 1")
        self.inner, self.stride = inner, stride
        self.dim, self.codebook_sizes, self.prefixes = inner.dim, inner.codebook_sizes, inner.prefixes
        # Averaging is no identity, but in a stack only the sum of all stages has to pass the gradient.
        self.passes_identity = inner.passes_identity

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames that share one code, for each row."""
        return tuple(self.stride * stride for stride in self.inner.strides)

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T]."""
        self.check_latents(latents)
        start, frames = latents.float(), latents.shape[2]
        average = self._average(start)
        output: QuantizerOutput = self.inner(average, num_quantizers)
        quantized = self._repeat(output.quantized, frames)
        if self.passes_identity:  # latents get the identity, not an average; parameters keep their gradient
            path = start - self._repeat(average, frames)
            quantized = quantized + (path - path.detach())
        codes = self._repeat(output.codes, frames)
        return QuantizerOutput(quantized.to(latents.dtype), codes, output.loss, output.metrics)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T]."""
        self.check_latents(latents)
        codes = self.inner.encode(self._average(latents.float()), num_quantizers)
        return self._repeat(codes, latents.shape[2])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T]; of each `stride` codes the first counts."""
        self.check_codes(codes)
        return self._repeat(self.inner.decode(codes[:, :, :: self.stride]), codes.shape[2])

    def initialize(self, latents: Tensor) -> None:
        """Fit to averages of latents [B, D, T]."""
        self.check_latents(latents)
        self.inner.initialize(self._average(latents.float()))

    def codebooks(self) -> dict[str, Tensor]:
        """Codebooks of the quantizer inside."""
        return self.inner.codebooks()

    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace the codebooks of the quantizer inside."""
        self.inner.load_codebooks(codebooks)

    def _average(self, latents: Tensor) -> Tensor:
        if not latents.shape[2]:
            return latents
        return F.avg_pool1d(latents, self.stride, ceil_mode=True)

    def _repeat(self, frames: Tensor, count: int) -> Tensor:
        return frames.repeat_interleave(self.stride, dim=2)[:, :, :count]


class MultiScaleQuantizer(ResidualQuantizer):
    """A residual stack whose stage i codes averages over `strides[i]` frames, such as 4, 2, 1."""

    def __init__(self, stages: Sequence[Quantizer], strides: Sequence[int]) -> None:
        """Compose `stages`, coarsest first.

        Raises:
            ConfigError: there are more or fewer strides than stages.
        """
        if len(stages) != len(strides):
            raise ConfigError(f"strides are {tuple(strides)}; give one for each of {len(stages)} stages")
        super().__init__([StridedQuantizer(*pair) for pair in zip(stages, strides, strict=True)])
