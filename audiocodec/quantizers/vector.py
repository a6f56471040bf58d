"""Codebook learned by gradient: VQ-VAE, https://arxiv.org/abs/1711.00937, equation 3."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Terms
from audiocodec.quantizers.codebook import mean_square
from audiocodec.quantizers.codebook_quantizer import CodebookQuantizer
from audiocodec.quantizers.dead_codes import CHECK_EVERY, anchor_shares, replacements, revive
from audiocodec.quantizers.parts import Parts


class VectorQuantizer(CodebookQuantizer):
    """L = codebook_weight |sg(z) - q|^2 + commitment_weight |z - sg(q)|^2, means over all elements.

    Commitment 0.25 and the uniform start in +-1/K are the paper's. `initialize` replaces that start by
    k-means. With a dead-code policy, `usage` averages how often each entry is chosen and unused entries move
    before they are used.
    """

    movable = True
    """Entries can be put to any place, so dead-code policies apply."""

    usage: Tensor
    steps: Tensor

    def __init__(self, dim: int, codebook_size: int, *, parts: Parts | None = None) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__(dim, codebook_size, parts=parts)
        self._make_codebook(dim, codebook_size)
        if self.parts.dead_codes != "none":
            if not self.movable:
                raise ConfigError(
                    f"dead_codes is {self.parts.dead_codes!r}; {type(self).__name__} allows only 'none'"
                )
            # Anchors start as in CVQ's code: nothing is used yet, so the first batch places every entry.
            start = 0.0 if self.parts.dead_codes == "anchor" else 1 / codebook_size
            self.register_buffer("usage", torch.full((codebook_size,), start), persistent=False)
            self.register_buffer("steps", torch.zeros((), dtype=torch.long), persistent=False)

    def _make_codebook(self, dim: int, codebook_size: int) -> None:
        self.codebook = nn.Parameter(
            torch.empty(codebook_size, dim).uniform_(-1 / codebook_size, 1 / codebook_size)
        )

    def entries(self) -> Tensor:
        """The codebook [K, D], a parameter."""
        return self.codebook

    @torch.no_grad()
    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace the codebook, and forget how often entries were used."""
        super().load_codebooks(codebooks)
        if self.parts.dead_codes != "none":
            # With anchors, start from little use but not from none: loaded entries stay unless unused.
            start = 0.01 if self.parts.dead_codes == "anchor" else 1.0
            self.usage.fill_(start / self.codebook_sizes[0])

    def codebook_terms(self, vectors: Tensor, chosen: Tensor, codebook: Tensor) -> Terms:
        """Draw each chosen entry to the vectors that chose it."""
        del codebook
        return {"codebook_loss": (self.parts.codebook_weight, mean_square(vectors.detach() - chosen))}

    @torch.no_grad()
    def before_step(self, vectors: Tensor) -> None:
        """Move unused entries; before use, as the backward pass needs entries as they were used."""
        policy = self.parts.dead_codes
        if policy == "anchor":
            shares = anchor_shares(self.usage)
            moving = (shares > 1e-6).nonzero()[:, 0]
            if len(moving):
                entries = self.entries()[moving]
                anchors = replacements("anchor", vectors, entries)
                self.place(moving, entries.lerp(anchors, shares[moving, None]))
        elif policy != "none" and int(self.steps) % CHECK_EVERY == CHECK_EVERY - 1:
            threshold, entries = self.parts.dead_code_threshold, self.entries()
            indices, places, _ = revive(policy, threshold, entries, self.usage, vectors)
            self.place(indices, places)

    @torch.no_grad()
    def after_step(self, vectors: Tensor, indices: Tensor, counts: Tensor) -> None:
        """Average how often entries are chosen."""
        del vectors, indices
        if self.parts.dead_codes != "none" and bool(counts.any()):
            self.usage.lerp_(counts / counts.sum(), 0.01)
            self.steps += 1

    @torch.no_grad()
    def place(self, indices: Tensor, entries: Tensor) -> None:
        """Put the entries [M, D] at `indices` [M]."""
        self.codebook[indices] = entries


class OnlineVectorQuantizer(VectorQuantizer):
    """Online clustered codebook (CVQ): rarely used entries move to the closest vector of each batch.

    Zheng and Vedaldi 2023, https://arxiv.org/abs/2307.15139: c_k <- (1 - a_k) c_k + a_k anchor_k with a_k
    from the average use of entry k, see `dead_codes.anchor_shares`.
    """

    option_groups = {"parts": Parts(dead_codes="anchor")}  # noqa: RUF012  typed ClassVar in the base
