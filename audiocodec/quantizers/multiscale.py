"""Coarser frame rates below finer ones: SNAC, https://arxiv.org/abs/2410.14411, after VQ-VAE-2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Quantizer, QuantizerOutput, WrappedQuantizer
from audiocodec.quantizers.residual import ResidualQuantizer


class StridedQuantizer(WrappedQuantizer):
    """A quantizer for averages over `stride` frames; codes stay rectangular, each repeated for its frames.

    The last average is over the frames that are left. In pieces, encode multiples of `stride` frames.
    Averaging is no identity, but in a stack only the sum of all stages has to pass the gradient, so
    `passes_identity` is that of the quantizer inside.
    """

    def __init__(self, inner: Quantizer, stride: int) -> None:
        """Give `inner` one vector for each `stride` frames.

        Raises:
            ConfigError: `stride` is below 1.
        """
        super().__init__(inner)
        if stride < 1:
            raise ConfigError(f"stride is {stride}; allowed are whole numbers from 1")
        self.stride = stride

    @property
    def strides(self) -> tuple[int, ...]:
        """Frames that share one code, for each row."""
        return tuple(self.stride * stride for stride in self.inner.strides)

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T]."""
        frames, average = latents.shape[-1], self._average(latents)
        output = super().forward(average, num_quantizers)
        quantized = self._repeat(output.quantized, frames)
        if self.passes_identity:  # latents get the identity, not an average; parameters keep their gradient
            path = latents.float() - self._repeat(average, frames)
            quantized = quantized + (path - path.detach())
        codes = self._repeat(output.codes, frames)
        return replace(output, quantized=quantized.to(latents.dtype), codes=codes)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T]."""
        return self._repeat(super().encode(self._average(latents), num_quantizers), latents.shape[2])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T]; of each `stride` codes the first counts."""
        self.check_codes(codes)
        return self._repeat(super().decode(codes[:, :, :: self.stride]), codes.shape[2])

    def initialize(self, latents: Tensor) -> None:
        """Fit to averages of latents [B, D, T]."""
        super().initialize(self._average(latents))

    def _average(self, latents: Tensor) -> Tensor:
        self.check_latents(latents)
        return F.avg_pool1d(latents.float(), self.stride, ceil_mode=True) if latents.shape[2] else latents

    def _repeat(self, frames: Tensor, count: int) -> Tensor:
        return frames.repeat_interleave(self.stride, dim=2)[:, :, :count]


class MultiScaleQuantizer(ResidualQuantizer):
    """A residual stack whose stage i codes averages over `strides[i]` frames, such as 4, 2, 1."""

    def __init__(self, stages: Sequence[Quantizer], strides: Sequence[int]) -> None:
        """Compose `stages`, coarsest first.

        Raises:
            ConfigError: the number of strides is not that of the stages.
        """
        if len(stages) != len(strides):
            raise ConfigError(f"strides are {tuple(strides)}; give one for each of {len(stages)} stages")
        super().__init__([StridedQuantizer(*pair) for pair in zip(stages, strides, strict=True)])
