"""Choices that any method with a codebook takes: weights, estimator, sampling, dead codes, regularizers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Terms
from audiocodec.quantizers.codebook import entropy, in_chunks, squared_distances
from audiocodec.quantizers.dead_codes import DeadCodePolicy
from audiocodec.quantizers.estimators import rotation, straight_through, synchronized
from audiocodec.ranks import pooled_mean

Estimator = Literal["straight_through", "rotation", "modified"]


@dataclass(frozen=True)
class Parts:
    """Parts of a quantizer that are independent of its method.

    Attributes:
        commitment_weight: weight of the loss |z - sg(q)|^2, which draws latents to their entries.
        codebook_weight: weight of the loss |sg(z) - q|^2, which draws entries to their latents.
        estimator: how the gradient passes; "modified" also gives the chosen entry a share of it.
        code_share: that share; 0 takes 2 * codebook_weight / numel, as "Beyond Stationarity" derives.
        sample_top_k: in training draw among this many nearest entries; 1 always takes the nearest.
        sample_temperature: in units of the mean squared distance to the nearest entry.
        sample_interval: training steps after which one more stage of a stack samples; the last stage starts
            at once, the first stage last. 0 lets all stages sample at once.
        dead_codes: where unused entries go.
        dead_code_threshold: an entry used less than this share of the mean use is dead.
        orthogonality_weight: weight of the loss `orthogonality`.
        cosine_weight: weight of the loss `cosine_penalty`.
        entropy_weight: weight of the loss `uniform_use`.
        entropy_temperature: squared distance at which a choice counts as uncertain in `uniform_use`.
    """

    commitment_weight: float = 0.25
    codebook_weight: float = 1.0
    estimator: Estimator = "straight_through"
    code_share: float = 0.0
    sample_top_k: int = 1
    sample_temperature: float = 1.0
    sample_interval: int = 0
    dead_codes: DeadCodePolicy = "none"
    dead_code_threshold: float = 0.1
    orthogonality_weight: float = 0.0
    cosine_weight: float = 0.0
    entropy_weight: float = 0.0
    entropy_temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name, allowed in (("estimator", Estimator), ("dead_codes", DeadCodePolicy)):
            if getattr(self, name) not in get_args(allowed):
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(get_args(allowed))}"
                )
        for name, least in (("sample_top_k", 1), ("sample_interval", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed are whole numbers from {least}")
        for name in ("sample_temperature", "entropy_temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed are numbers above 0")

    def pass_gradient(self, vectors: Tensor, chosen: Tensor) -> Tensor:
        """`chosen` [N, D] forward, with the gradient of the chosen estimator backward."""
        if self.estimator == "rotation":
            return rotation(vectors, chosen)
        if self.estimator == "modified":
            # The factor in the gradient of the mean squared codebook loss: entries step as far as the latents
            # do.
            share = self.code_share or 2 * self.codebook_weight / max(vectors.numel(), 1)
            return synchronized(vectors, chosen, share)
        return straight_through(vectors, chosen)

    def penalties(self, vectors: Tensor, chosen: Tensor, codebook: Tensor) -> Terms:
        """Weights and values of the regularizers in use, by name."""
        terms: Terms = {}
        if self.orthogonality_weight:
            terms["orthogonality"] = (self.orthogonality_weight, orthogonality(codebook))
        if self.cosine_weight:
            terms["cosine_penalty"] = (self.cosine_weight, cosine_penalty(vectors, chosen))
        if self.entropy_weight:
            value = uniform_use(vectors, codebook, self.entropy_temperature)
            terms["entropy_penalty"] = (self.entropy_weight, value)
        return terms


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
