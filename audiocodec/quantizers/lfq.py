"""Lookup-free quantization, signs of few channels: Yu et al. 2023, https://arxiv.org/abs/2310.05737."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import LeafQuantizer, Terms
from audiocodec.quantizers.codebook import entropy, mean_square
from audiocodec.quantizers.estimators import straight_through
from audiocodec.quantizers.projection import Projection
from audiocodec.ranks import pooled_mean

GROUP_BITS = 14
"""Bits whose joint distribution is held; larger codebooks add the entropies of groups, an upper bound."""


class LookupFreeQuantizer(LeafQuantizer):
    """log2 K channels, each +-1; the index is the word of their signs, first channel highest.

    L = entropy_weight (mean_n H(p_n) - diversity H(mean_n p_n)) + commitment_weight |z - sg(q)|^2 with
    p = softmax(2 * 100 * z . C'). As entries are all sign words, p is a product over channels: H(p_n) is a
    sum, and the mean over n of the joint is one matrix product of two halves, so N x K is never held.
    `spherical` puts z and entries on the unit sphere (BSQ, https://arxiv.org/abs/2406.07548).
    """

    masks: Tensor

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        entropy_weight: float = 0.1,
        diversity: float = 1.0,
        inverse_temperature: float = 100.0,
        commitment_weight: float = 0.25,
        spherical: bool = False,
    ) -> None:
        """Latents of width `dim`, `codebook_size` a power of two."""
        super().__init__(dim, codebook_size)
        bits = codebook_size.bit_length() - 1
        if codebook_size != 1 << bits or not bits:
            raise ConfigError(
                f"codebook_size is {codebook_size}; lookup-free codes allow powers of two from 2"
            )
        self.entropy_weight, self.diversity = entropy_weight, diversity
        self.inverse_temperature, self.commitment_weight = inverse_temperature, commitment_weight
        self.spherical = spherical
        self.size = bits**-0.5 if spherical else 1.0
        self.register_buffer("masks", 1 << torch.arange(bits - 1, -1, -1), persistent=False)
        self.projection = Projection(dim, bits)
        self.passes_identity = dim == bits and not spherical

    def quantize(self, vectors: Tensor) -> tuple[Tensor, Tensor, Terms]:
        """Take the signs of vectors [N, D]."""
        inner = self._inward(vectors)
        positive = inner.detach() > 0
        signs = self._entries(positive)
        output = self.projection.back(straight_through(inner, signs))
        terms: Terms = {
            "commitment_loss": (self.commitment_weight, mean_square(inner - signs)),
            "entropy_penalty": (self.entropy_weight, self.entropy_penalty(inner)),
        }
        return self._indices(positive), output, terms

    def entropy_penalty(self, inner: Tensor) -> Tensor:
        """Mean entropy of choices less `diversity` times that of the mean choice, in nats, for [N, bits]."""
        # Between +s and -s of one channel the logits 2 * temperature * z . c differ by 4 * temperature * s *
        # z.
        logits = 4 * self.inverse_temperature * self.size * inner
        certain = (F.softplus(-logits.abs()) + logits.abs() * torch.sigmoid(-logits.abs())).sum()
        spread = torch.stack([_entropy_of_mean(group) for group in logits.split(GROUP_BITS, dim=1)]).sum()
        return certain / max(inner.shape[0], 1) - self.diversity * spread

    def choose(self, vectors: Tensor) -> Tensor:
        """Vectors [N, D] -> indices [N]."""
        return self._indices(self._inward(vectors) > 0)

    def restore(self, indices: Tensor) -> Tensor:
        """Indices [N] -> output [N, D]."""
        return self.projection.back(self._entries(indices[:, None] & self.masks != 0))

    def fit(self, vectors: Tensor) -> None:
        """Start the projection from principal components of vectors [N, D], and least squares back."""
        if len(vectors) > 1:
            self.projection.fit(vectors, lambda rows: self._entries(self._inward(rows) > 0))

    def _inward(self, vectors: Tensor) -> Tensor:
        inner = self.projection.into(vectors)
        return F.normalize(inner, dim=1) if self.spherical else inner

    def _entries(self, positive: Tensor) -> Tensor:
        return (2.0 * positive - 1.0) * self.size

    def _indices(self, positive: Tensor) -> Tensor:
        return (positive * self.masks).sum(dim=1)


def _entropy_of_mean(logits: Tensor) -> Tensor:
    """Entropy of the mean over n of products of the channels' distributions, from logits [N, bits]."""
    half = logits.shape[1] // 2
    joint = _words(logits[:, :half]).t() @ _words(logits[:, half:])
    return entropy(pooled_mean(joint.flatten(), logits.shape[0]))


def _words(logits: Tensor) -> Tensor:
    """Probabilities [N, 2^b] of all sign words of b channels [N, b]."""
    words = logits.new_ones(logits.shape[0], 1)
    for channel in torch.stack([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=2).unbind(1):
        words = (words[:, :, None] * channel[:, None]).flatten(1)
    return words
