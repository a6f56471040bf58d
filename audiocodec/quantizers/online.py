"""Online clustered codebook, CVQ: Zheng and Vedaldi 2023, https://arxiv.org/abs/2307.15139."""

from __future__ import annotations

from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.vector import VectorQuantizer


class OnlineVectorQuantizer(VectorQuantizer):
    """VQ-VAE whose little used entries walk to the closest vector of each batch.

    c_k <- (1 - a_k) c_k + a_k anchor_k with a_k from the average use of entry k: `dead_codes.anchor_shares`.
    """

    default_parts = Parts(dead_codes="anchor")
