"""Gumbel-softmax quantizer, entries drawn by learned logits: dVAE, https://arxiv.org/abs/2102.12092."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.quantizers.base import LeafQuantizer, Terms
from audiocodec.quantizers.codebook import chunk_rows, in_chunks, kmeans, mean_square, nearest
from audiocodec.ranks import from_first_rank


class _Mix(torch.autograd.Function):
    """Divergence [n] of softmax(logits) from uniform, and entries mixed by softmax((logits + noise) / t).

    Logits are those of a linear layer on `vectors`, which get their gradient here. Without `mix_values` the
    rows [n, D] are zero forward and their gradient goes to the logits alone. Written out because automatic
    differentiation would hold and pass over [n, K] about three times as often, and would not multiply
    gradients in bfloat16.
    """

    @staticmethod
    def forward(
        ctx: Any,
        vectors: Tensor,
        weight: Tensor,
        bias: Tensor,
        codebook: Tensor,
        logits: Tensor,
        noise: Tensor | None,
        temperature: float,
        mix_values: bool,
    ) -> tuple[Tensor, Tensor]:
        del bias  # part of the logits
        slope = logits.softmax(dim=1)
        # log p_k = logit_k - l, with l from the likeliest entry, whose p is not small.
        top, place = logits.max(dim=1)
        log_sum = top - slope.gather(1, place[:, None])[:, 0].log()
        negentropy = torch.linalg.vecdot(slope, logits) - log_sum
        slope *= logits - (log_sum + negentropy)[:, None]  # d negentropy / d logits
        weights = ((logits if noise is None else noise.add_(logits)) / temperature).softmax(dim=1)
        rows = weights @ codebook if mix_values else codebook.new_zeros(logits.shape[0], codebook.shape[1])
        ctx.save_for_backward(vectors, weight, codebook, slope, weights)
        ctx.temperature, ctx.mix_values = temperature, mix_values
        return negentropy + math.log(logits.shape[1]), rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        vectors, weight, codebook, slope, weights = ctx.saved_tensors
        to_divergence, to_rows = gradients
        to_weights = product(to_rows, codebook.t())
        mean = torch.linalg.vecdot(weights, to_weights)[:, None]
        to_logits = to_weights.sub_(mean).mul_(weights).div_(ctx.temperature)
        to_logits.addcmul_(slope, to_divergence[:, None])
        to_vectors, to_weight = product(to_logits, weight), product(to_logits.t(), vectors)
        to_codebook = product(weights.t(), to_rows) if ctx.mix_values else None
        return to_vectors, to_weight, to_logits.sum(dim=0), to_codebook, None, None, None, None


def product(left: Tensor, right: Tensor) -> Tensor:
    """A product of gradients: bfloat16 where the input is float32, as in the rest of training."""
    if left.dtype != torch.float32:
        return left @ right
    return (left.bfloat16() @ right.bfloat16()).float()


def gumbel_noise(logits: Tensor, rng: torch.Generator | None = None) -> Tensor:
    """Noise [N, K] that turns an argmax over logits into a draw from their softmax.

    Jang et al. 2017, https://arxiv.org/abs/1611.01144.
    """
    noise = torch.rand(logits.shape, generator=rng, device=logits.device, dtype=logits.dtype)
    # A draw of 0 gives -inf: an entry not taken. A draw is never 1. (`exponential_` is slower on CPUs.)
    return noise.log_().neg_().log_().neg_()


class GumbelQuantizer(LeafQuantizer):
    """A linear layer gives logits for all entries; training adds noise, a softmax carries the gradient.

    Forward values are single entries (straight-through) unless `hard` is off in training. Loss and weights
    follow taming-transformers' GumbelQuantize: kl_weight * mean sum_k p_k log(K p_k). The temperature
    falls from `temperature` to `last_temperature` in `temperature_steps` training steps, by equal factors;
    1/16 is dVAE's.
    """

    passes_identity = False

    steps: Tensor

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        temperature: float = 1.0,
        last_temperature: float = 0.0625,
        temperature_steps: int = 10000,
        kl_weight: float = 5e-4,
        hard: bool = True,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__(dim, codebook_size)
        self.temperatures = (temperature, last_temperature, temperature_steps)
        self.kl_weight, self.hard = kl_weight, hard
        self.logits = nn.Linear(dim, codebook_size)
        self.codebook = nn.Parameter(torch.randn(codebook_size, dim) * dim**-0.5)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long), persistent=False)

    def temperature(self) -> float:
        """Temperature of the softmax now."""
        first, last, steps = self.temperatures
        return first * (last / first) ** min(1.0, int(self.steps) / max(steps, 1))

    def quantize(self, vectors: Tensor) -> tuple[Tensor, Tensor, Terms]:
        """Draw an entry for each of vectors [N, D] in training; otherwise take the likeliest."""
        results = in_chunks(partial(self._quantize, self.temperature()), vectors, self.codebook_sizes[0])
        indices, divergences, rows = results[:, 0].long(), results[:, 1], results[:, 2:]
        divergence = divergences.sum() / max(len(divergences), 1)
        return indices, rows, {"divergence": (self.kl_weight, divergence)}

    def after_step(self, vectors: Tensor, indices: Tensor, counts: Tensor) -> None:
        """Count the steps, by which the temperature falls."""
        del vectors, indices, counts
        self.steps += 1

    def _quantize(self, temperature: float, vectors: Tensor) -> Tensor:
        """Index, divergence and output of vectors [n, D] in one tensor [n, 1 + 1 + D], for `in_chunks`."""
        with torch.no_grad():
            logits = self.logits(vectors)
            noise = gumbel_noise(logits) if self.training else None
            indices = (logits if noise is None else logits + noise).argmax(dim=1)
        mix_values = not self.hard and self.training
        layer = (self.logits.weight, self.logits.bias)
        divergence, rows = _Mix.apply(vectors, *layer, self.codebook, logits, noise, temperature, mix_values)
        if not mix_values:  # entries learn as chosen, logits as if all had been mixed
            rows = F.embedding(indices, self.codebook) + rows
        # Indices are exact as floats up to 2^24 entries.
        return torch.cat([indices[:, None].float(), divergence[:, None], rows], dim=1)

    def choose(self, vectors: Tensor) -> Tensor:
        """Vectors [N, D] -> indices [N] of the likeliest entries."""
        chunks = vectors.split(chunk_rows(self.codebook_sizes[0]))
        return torch.cat([self.logits(chunk).argmax(dim=1) for chunk in chunks])

    def restore(self, indices: Tensor) -> Tensor:
        """Entries at indices [N], as [N, D]."""
        return F.embedding(indices, self.codebook)

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Start from k-means, with logits -|z - c|^2 in units of the mean error."""
        codebook = from_first_rank(kmeans(vectors, self.codebook_sizes[0]))
        error = self.dim * mean_square(vectors - codebook[nearest(vectors, codebook)])
        scale = 1 / error.clamp(min=1e-12)
        self.codebook.copy_(codebook)
        self.logits.weight.copy_(2 * scale * codebook)
        self.logits.bias.copy_(-scale * codebook.square().sum(dim=1))

    def codebooks(self) -> dict[str, Tensor]:
        """The codebook [K, D]; loading one does not change the logits, which choose the entries."""
        return {"codebook": self.codebook.detach()}
