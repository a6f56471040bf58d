"""Vector quantiser whose codebook follows its clusters by moving averages: VQ-VAE, https://arxiv.org/abs/1711.00937, appendix A.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.codebook import cluster_sums, kmeans, lookup, nearest, perplexity_and_usage, sample_rows
from audiocodec.quantizers.estimators import straight_through

if TYPE_CHECKING:
    from collections.abc import Mapping


class EMAVectorQuantizer(Quantizer):
    """One codebook, k-means start, moving-average updates, dead entries moved to live vectors.

    Decay 0.99 is EnCodec's. An entry is dead when its average use is below `dead_code_threshold` times the mean
    use; sum and count are both replaced, so the next moving-average step keeps the new place (Mimi's rule).
    """

    CHECK_EVERY = 5
    """Steps between two searches for dead entries."""

    codebook: Tensor
    cluster_sum: Tensor
    cluster_size: Tensor
    steps: Tensor

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        ema_decay: float = 0.99,
        commitment_weight: float = 1.0,
        dead_code_threshold: float = 0.1,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__()
        self.dim = dim
        self.codebook_sizes = (codebook_size,)
        self.prefixes = (1,)
        self.ema_decay = ema_decay
        self.commitment_weight = commitment_weight
        self.dead_code_threshold = dead_code_threshold
        self.register_buffer("codebook", torch.randn(codebook_size, dim) * dim**-0.5)
        # Statistics of training only: not in state_dict, kept by the trainer's checkpoint.
        self.register_buffer("cluster_sum", self.codebook.clone(), persistent=False)
        self.register_buffer("cluster_size", torch.ones(codebook_size), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long), persistent=False)

    def forward(self, latents: Tensor, num_quantizers: int | None = None) -> QuantizerOutput:
        """Quantise latents [B, D, T]; in training mode the codebook takes one moving-average step."""
        self.check_prefix(num_quantizers)
        vectors = latents.detach().transpose(1, 2).reshape(-1, self.dim).float()
        if self.training and int(self.steps) == 0:
            self.initialise(latents.detach())
        indices = nearest(vectors, self.codebook)
        codes = indices.view(latents.shape[0], 1, latents.shape[2])
        quantized = lookup(self.codebook, codes[:, 0]).to(latents.dtype)
        sums, counts = cluster_sums(vectors, indices, self.codebook_sizes[0])
        if self.training:
            self._follow(vectors, sums, counts)
        commitment_loss = (latents - quantized.detach()).square().mean()
        metrics = {"commitment_loss": commitment_loss.detach(), **perplexity_and_usage(counts)}
        loss = self.commitment_weight * commitment_loss
        return QuantizerOutput(straight_through(latents, quantized), codes, loss, metrics)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, 1, T]."""
        self.check_prefix(num_quantizers)
        vectors = latents.transpose(1, 2).reshape(-1, self.dim).float()
        return nearest(vectors, self.codebook).view(latents.shape[0], 1, latents.shape[2])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, 1, T] -> quantized [B, D, T]."""
        self.check_codes(codes)
        return lookup(self.codebook, codes[:, 0])

    @torch.no_grad()
    def initialise(self, latents: Tensor) -> None:
        """Start the codebook from k-means on latents [B, D, T]."""
        vectors = latents.transpose(1, 2).reshape(-1, self.dim).float()
        self.load_codebooks({"codebook": kmeans(vectors, self.codebook_sizes[0])})

    def codebooks(self) -> dict[str, Tensor]:
        """The codebook [K, D]."""
        return {"codebook": self.codebook}

    @torch.no_grad()
    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace the codebook and restart its statistics from it, so that training goes on from there."""
        super().load_codebooks(codebooks)
        self.cluster_sum.copy_(self.codebook)
        self.cluster_size.fill_(1.0)
        self.steps.fill_(1)

    @torch.no_grad()
    def _follow(self, vectors: Tensor, sums: Tensor, counts: Tensor) -> None:
        self.cluster_sum.lerp_(sums, 1 - self.ema_decay)
        self.cluster_size.lerp_(counts, 1 - self.ema_decay)
        if int(self.steps) % self.CHECK_EVERY == 0:
            self._revive(vectors)
        self.steps += 1
        # Laplace smoothing as in the paper, relative to the mean so that batch size does not matter.
        smallest = 1e-5 * self.cluster_size.mean()
        self.codebook.copy_(self.cluster_sum / self.cluster_size.clamp(min=float(smallest))[:, None])

    def _revive(self, vectors: Tensor) -> None:
        mean_size = self.cluster_size.mean()
        dead = self.cluster_size < self.dead_code_threshold * mean_size
        fresh = sample_rows(vectors, int(dead.sum()))
        self.cluster_sum[dead] = fresh * mean_size
        self.cluster_size[dead] = mean_size
