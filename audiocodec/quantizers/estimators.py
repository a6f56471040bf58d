"""Gradient estimators: how a gradient passes a quantizer, whose own derivative is zero almost everywhere.

All take vectors [..., D] and their codes' entries [..., D], give exactly the entries forward, and differ
backward.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.quantizers.codebook import chunk_rows, nearest, squared_distances


def with_gradient_of(value: Tensor, path: Tensor) -> Tensor:
    """`value` to the last bit forward, the gradient of `path` backward."""
    return value.detach() + (path - path.detach())


def straight_through(latents: Tensor, quantized: Tensor) -> Tensor:
    """Quantized values forward, the identity backward (Bengio et al. 2013, https://arxiv.org/abs/1308.3432)."""
    return with_gradient_of(quantized, latents)


def rotation(vectors: Tensor, quantized: Tensor, eps: float = 1e-6) -> Tensor:
    """Pass the gradient through the rotation and scaling that takes each vector to its code.

    Fifty et al. 2024, https://arxiv.org/abs/2410.06424, section 4.2: with e, q of unit length and r = (e + q)
    / |e + q|, R = I - 2 r r' + 2 q e', and the output is (|q| / |z|) R z. All factors are constants. D must
    exceed 1.
    """
    with torch.no_grad():
        length = vectors.norm(dim=-1, keepdim=True).clamp(min=eps)
        scale = quantized.norm(dim=-1, keepdim=True) / length
        start = vectors / length
        end = F.normalize(quantized, dim=-1, eps=eps)
        middle = F.normalize(
            start + end, dim=-1, eps=eps
        )  # no direction when they are opposite: then no reflection
    turned = vectors - 2 * middle * (middle * vectors).sum(-1, keepdim=True)
    turned = turned + 2 * end * (start * vectors).sum(-1, keepdim=True)
    return with_gradient_of(quantized, scale * turned)


def synchronized(vectors: Tensor, quantized: Tensor, share: float) -> Tensor:
    """Straight-through that also gives each chosen entry `share` of the gradient, to move with the encoder.

    Huh et al. 2023, https://arxiv.org/abs/2305.08842, equation 21. With share = 2 * codebook_weight / numel
    it is the modified estimator of "Beyond Stationarity", https://arxiv.org/abs/2602.18896, section 9.3.
    """
    return with_gradient_of(quantized, vectors + share * quantized)


def sample_near(
    vectors: Tensor, codebook: Tensor, top_k: int, temperature: float, rng: torch.Generator | None = None
) -> Tensor:
    """Index [N] of an entry drawn from the `top_k` nearest ones, nearer ones more often.

    It imitates codes flipped by noise: Zheng et al. 2025, https://arxiv.org/abs/2509.19025. Probabilities are
    softmax(-d^2 / (temperature * m)), m being the mean squared distance to the nearest entry (our choice, so
    that one temperature fits every stage).
    """
    if top_k == 1 or not vectors.shape[0]:
        return nearest(vectors, codebook)
    near = [
        squared_distances(chunk, codebook).topk(top_k, dim=1, largest=False)
        for chunk in vectors.split(chunk_rows(codebook.shape[0]))
    ]
    distances, candidates = torch.cat([n.values for n in near]), torch.cat([n.indices for n in near])
    scale = temperature * distances[:, 0].mean().clamp(min=torch.finfo(distances.dtype).tiny)
    choice = torch.multinomial((-distances / scale).softmax(dim=1), 1, generator=rng)
    return candidates.gather(1, choice)[:, 0]
