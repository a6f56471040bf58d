"""Product quantization: parts of the latent vector are coded apart. Jegou et al. 2011, https://doi.org/10.1109/TPAMI.2010.57."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Composition, Quantizer, QuantizerOutput


class ProductQuantizer(Composition):
    """Groups of channels, a quantizer for each; the only prefix is all rows."""

    def __init__(self, stages: Sequence[Quantizer]) -> None:
        """Give each of `stages` its own channels, as many as it is wide, in order."""
        super().__init__(stages)
        self.widths = [stage.dim for stage in stages]
        self.dim = sum(self.widths)
        self.prefixes = (len(self.codebook_sizes),)
        self.passes_identity = all(stage.passes_identity for stage in stages)

    @classmethod
    def split(cls, dim: int, groups: int, make: Callable[[int], Quantizer]) -> ProductQuantizer:
        """Split `dim` channels into `groups` equal ones, each quantized by a `make(dim // groups)`.

        Raises:
            ConfigError: `groups` does not divide `dim`.
        """
        if groups < 1 or dim % groups:
            divisors = [g for g in range(1, dim + 1) if dim % g == 0]
            raise ConfigError(f"groups is {groups}; latents of width {dim} allow {divisors}")
        return cls([make(dim // groups) for _ in range(groups)])

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T] group by group."""
        self.check_num_quantizers(num_quantizers)
        outputs = [stage(part) for part, stage in self._parts(latents)]
        # Losses are means over their own channels: weighted by width they are the mean over all channels.
        loss = torch.stack([o.loss * (w / self.dim) for o, w in zip(outputs, self.widths, strict=True)]).sum()
        metrics = {f"{name}/{i}": value for i, o in enumerate(outputs) for name, value in o.metrics.items()}
        quantized = torch.cat([output.quantized for output in outputs], dim=1)
        codes = torch.cat([output.codes for output in outputs], dim=1)
        return QuantizerOutput(quantized, codes, loss, metrics)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, N, T]."""
        self.check_num_quantizers(num_quantizers)
        return torch.cat([stage.encode(part) for part, stage in self._parts(latents)], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, N, T] -> quantized [B, D, T]."""
        self.check_codes(codes)
        return torch.cat([stage.decode(codes[:, first:last]) for first, last, stage in self.spans()], dim=1)

    def initialize(self, latents: Tensor) -> None:
        """Fit each group to its channels of latents [B, D, T]."""
        for part, stage in self._parts(latents):
            stage.initialize(part)

    def _parts(self, latents: Tensor) -> list[tuple[Tensor, Quantizer]]:
        self.check_latents(latents)
        stages = [stage for _, _, stage in self.spans()]
        return list(zip(latents.split(self.widths, dim=1), stages, strict=True))
