"""Scalar terms of a loss that keep a codebook spread out and its entries in even use."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.quantizers.codebook import in_chunks, squared_distances
from audiocodec.quantizers.ranks import pooled_mean


def orthogonality(codebook: Tensor) -> Tensor:
    """Mean squared cosine between entries of `codebook` [K, D], less the 1/K of each with itself.

    Shin et al. 2023, https://arxiv.org/abs/2112.00384: |C C'|^2 / K^2 - 1/K on entries of unit length.
    |C C'| = |C' C|, so the smaller of both products is made. For a part of the codes only, pass that part.
    """
    entries = F.normalize(codebook, dim=1)
    size, dim = entries.shape
    product = entries.t() @ entries if dim < size else entries @ entries.t()
    return product.square().sum() / size**2 - 1 / size


def cosine_penalty(vectors: Tensor, quantized: Tensor) -> Tensor:
    """Mean of 1 - cos between vectors [N, D] and their entries; pulls both into one direction.

    Yu et al. 2021, https://arxiv.org/abs/2110.04627, as a penalty instead of a normalization.
    """
    return (1 - F.cosine_similarity(vectors, quantized, dim=-1)).sum() / max(vectors.shape[0], 1)


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy in nats over the last dimension; the gradient stays finite at probability 0."""
    return -(probabilities * probabilities.clamp(min=1e-20).log()).sum(dim=-1)


def uniform_use(vectors: Tensor, codebook: Tensor, temperature: float, diversity: float = 1.0) -> Tensor:
    """Certain choices, evenly spread: mean_n H(p_n) - diversity * H(mean_n p_n).

    p_n = softmax(-d^2 / temperature). Yu et al. 2023, https://arxiv.org/abs/2310.05737 (its entropy penalty),
    for any codebook.
    """
    count, size = vectors.shape[0], codebook.shape[0]

    def per_chunk(chunk: Tensor) -> Tensor:
        p = (-squared_distances(chunk, codebook) / temperature).softmax(dim=1)
        return torch.cat([entropy(p).sum()[None], p.sum(dim=0)])[None]  # [1, 1 + K]

    sums = in_chunks(per_chunk, vectors, size).sum(dim=0)
    return sums[0] / max(count, 1) - diversity * entropy(pooled_mean(sums[1:], count))
