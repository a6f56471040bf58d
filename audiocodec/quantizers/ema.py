"""Codebook that follows its clusters by moving averages: VQ-VAE, https://arxiv.org/abs/1711.00937, A.1."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.codebook import cluster_sums
from audiocodec.quantizers.codebook_quantizer import CodebookQuantizer
from audiocodec.quantizers.dead_codes import CHECK_EVERY, revive
from audiocodec.quantizers.parts import Parts
from audiocodec.ranks import sum_over_ranks


class EMAVectorQuantizer(CodebookQuantizer):
    """One codebook, k-means start, moving-average updates, dead entries moved to live vectors.

    n <- g n + (1 - g) counts, m <- g m + (1 - g) sums, entries = m / n, with g = `ema_decay`: 0.99 is
    EnCodec's. A dead entry gets both a new sum and a new count, so the next moving-average step keeps its new
    place (Mimi's rule).
    """

    option_groups = {"parts": Parts(commitment_weight=1.0, codebook_weight=0.0, dead_codes="random")}  # noqa: RUF012  typed ClassVar in the base

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
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__(dim, codebook_size, parts=parts)
        for name in ("codebook_weight", "orthogonality_weight"):
            weight = getattr(self.parts, name)
            if weight:
                raise ConfigError(
                    f"{name} is {weight}; moving averages have no gradient: leave it 0, or take"
                    " method 'vector'"
                )
        self.ema_decay = ema_decay
        self.register_buffer("codebook", torch.randn(codebook_size, dim) * dim**-0.5)
        # Statistics of training only: not in state_dict, kept by the trainer's checkpoint.
        self.register_buffer("cluster_sum", self.codebook.clone(), persistent=False)
        self.register_buffer("cluster_size", torch.ones(codebook_size), persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long), persistent=False)
        self._known_steps: tuple[object, int] | None = None

    def entries(self) -> Tensor:
        """The codebook [K, D], a buffer."""
        # The entropy penalty's gradient needs the entries as they were before the step of `after_step`.
        return self.codebook.clone() if self.training and self.parts.entropy_weight else self.codebook

    @torch.no_grad()
    def load_codebooks(self, codebooks: Mapping[str, Tensor]) -> None:
        """Replace the codebook and restart its statistics from it, so that training goes on from there."""
        super().load_codebooks(codebooks)
        self.cluster_sum.copy_(self.codebook)
        self.cluster_size.fill_(1.0)
        self.steps.fill_(1)

    def before_step(self, vectors: Tensor) -> None:
        """Start from k-means on the first batch, unless the codebook was started or loaded before."""
        if self._steps_taken() == 0:
            self.initialize(vectors.t()[None])

    @torch.no_grad()
    def after_step(self, vectors: Tensor, indices: Tensor, counts: Tensor) -> None:
        """Take one moving-average step."""
        taken = self._steps_taken()
        sums = sum_over_ranks(cluster_sums(vectors, indices, counts.shape[0])[0])
        self.cluster_sum.lerp_(sums, 1 - self.ema_decay)
        self.cluster_size.lerp_(counts, 1 - self.ema_decay)
        if self.parts.dead_codes != "none" and taken % CHECK_EVERY == 0:
            indices, places, parents = revive(
                self.parts.dead_codes,
                self.parts.dead_code_threshold,
                self.codebook,
                self.cluster_size,
                vectors,
            )
            self.cluster_sum[parents] *= 0.5
            self.cluster_sum[indices] = self.cluster_size[indices, None] * places
        self.steps += 1
        self._known_steps = (_state(self.steps), taken + 1)
        # Instead of the paper's Laplace smoothing, which draws unused entries to the origin, they stay. What
        # counts as unused is relative to the mean, the same for every batch size.
        in_use = self.cluster_size > 1e-5 * self.cluster_size.mean()
        means = self.cluster_sum / self.cluster_size[:, None]
        self.codebook.copy_(torch.where(in_use[:, None], means, self.codebook))

    def _steps_taken(self) -> int:
        """The number in `steps`; read from its device only if something else has set it."""
        if self._known_steps is None or self._known_steps[0] != _state(self.steps):
            self._known_steps = (_state(self.steps), int(self.steps))
        return self._known_steps[1]


def _state(tensor: Tensor) -> object:
    """A value that differs after every change of `tensor`."""
    return tensor.data_ptr(), tensor._version
