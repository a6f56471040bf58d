"""An affine map of the latents around a quantizer; a revision may bring one along with its codebooks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from audiocodec.errors import InputError
from audiocodec.quantizers.base import Quantizer, QuantizerOutput, WrappedQuantizer

SCALE, SHIFT = "map.scale", "map.shift"
"""Names beside those of the codebooks."""


class LatentMap(WrappedQuantizer):
    """Gives (z - shift) / scale to the quantizer inside, and maps its output q back to scale * q + shift.

    Scale and shift [D] count as codebooks, so that they are named, stored and sent with them.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, inner: Quantizer) -> None:
        """Start from the identity around `inner`."""
        super().__init__(inner)
        # On the device of what is inside, which may hold codebooks only.
        device = next((tensor.device for tensor in inner.state_dict().values()), torch.device("cpu"))
        self.register_buffer("scale", torch.ones(inner.dim, device=device))
        self.register_buffer("shift", torch.zeros(inner.dim, device=device))

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T]; terms of the loss are those of the mapped ones."""
        output = super().forward(self._inward(latents), num_quantizers)
        return replace(output, quantized=self._outward(output.quantized).to(latents.dtype))

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T]."""
        return super().encode(self._inward(latents), num_quantizers)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T]."""
        return self._outward(super().decode(codes))

    @torch.no_grad()
    def initialize(self, latents: Tensor) -> None:
        """Fit starting codebooks inside to latents [B, D, T] as they come through the map."""
        super().initialize(self._inward(latents))

    def codebooks(self) -> dict[str, Tensor]:
        """Codebooks of the quantizer inside, and the map."""
        return {**super().codebooks(), SCALE: self.scale, SHIFT: self.shift}

    @torch.no_grad()
    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace codebooks and map.

        Raises:
            InputError: they do not fit, or a scale is zero, which cannot be inverted.
        """
        self.check_codebooks(codebooks)
        if not bool((codebooks[SCALE] != 0).all()):
            raise InputError(f"{SCALE} holds a zero, which cannot be inverted; fit it anew")
        super().load_codebooks({n: c for n, c in codebooks.items() if n not in (SCALE, SHIFT)})
        self.scale.copy_(codebooks[SCALE])
        self.shift.copy_(codebooks[SHIFT])

    def _inward(self, latents: Tensor) -> Tensor:
        self.check_latents(latents)
        return (latents - self.shift[:, None]) / self.scale[:, None]

    def _outward(self, quantized: Tensor) -> Tensor:
        return quantized * self.scale[:, None] + self.shift[:, None]
