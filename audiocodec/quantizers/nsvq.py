"""NS-VQ, a kernel moves unused entries too: https://arxiv.org/abs/2602.18896, section 3.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.codebook import chunk_rows, in_chunks, squared_distances
from audiocodec.quantizers.codebook_quantizer import Terms
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.vector import VectorQuantizer


@dataclass(frozen=True)
class Kernel:
    """How much of each vector's pull entries get that were not chosen.

    Attributes:
        weighting: "paper", exp(-d^2 / tau) / 2 (equation 17, tau = 2 sigma^2), or "code", what the authors
        run:
            strength * K * softmax(-d^2 / tau), at most 1.
        strength: of "code"; theirs is 0.01.
        tau: start of the kernel's width; the paper's is 1.
        tau_decay: factor at each epoch; the paper's is 0.9.
        tau_every: training steps that count as an epoch; 0 leaves it to calls of `end_epoch`.
        tau_floor: least width.
        inject: also let the decoder's gradient reach unused entries through the estimator (section 10).
    """

    weighting: Literal["paper", "code"] = "code"
    strength: float = 0.01
    tau: float = 1.0
    tau_decay: float = 0.9
    tau_every: int = 1000
    tau_floor: float = 1e-8
    inject: bool = False

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if self.weighting not in ("paper", "code"):
            raise ConfigError(f"weighting is {self.weighting!r}; choose paper or code")
        if not (self.tau > 0 and self.tau_floor > 0 and self.tau_decay > 0 and self.tau_every >= 0):
            raise ConfigError("tau, tau_floor and tau_decay must be above 0, tau_every 0 or more")

    def weights(self, vectors: Tensor, codebook: Tensor, tau: float) -> Tensor:
        """Weights [n, K] of one chunk of vectors [n, D], before the chosen entries are taken out."""
        logits = -squared_distances(vectors, codebook) / tau
        if self.weighting == "paper":
            return 0.5 * logits.exp()
        return (self.strength * codebook.shape[0] * logits.softmax(dim=1)).clamp(max=1)


class NonStationaryVectorQuantizer(VectorQuantizer):
    """VQ-VAE whose codebook loss also draws entries that were not chosen, the less the farther they are.

    L = mean |sg(z) - q|^2 + sum_k!=q w_k |sg(z) - c_k|^2, over vectors and channels, with constant weights w.
    As w is constant, sums over vectors of w and of w z are all the loss needs: N x K never exceeds one chunk.
    """

    default_parts = Parts(estimator="modified")
    option_groups = {"parts": Parts, "kernel": Kernel}  # noqa: RUF012  typed ClassVar in the base

    kernel_steps: Tensor
    epochs: Tensor

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        commitment_weight: float = 0.25,
        codebook_weight: float = 1.0,
        kernel: Kernel | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__(
            dim,
            codebook_size,
            commitment_weight=commitment_weight,
            codebook_weight=codebook_weight,
            parts=parts,
        )
        self.kernel = kernel or Kernel()
        self.register_buffer("kernel_steps", torch.zeros((), dtype=torch.long), persistent=False)
        self.register_buffer("epochs", torch.zeros((), dtype=torch.long), persistent=False)

    def tau(self) -> float:
        """Width of the kernel now."""
        return max(self.kernel.tau_floor, self.kernel.tau * self.kernel.tau_decay ** int(self.epochs))

    def end_epoch(self) -> None:
        """Narrow the kernel by one decay."""
        self.epochs += 1

    def after(self, vectors: Tensor, indices: Tensor, counts: Tensor) -> None:
        """Count steps, and epochs of `tau_every` steps."""
        super().after(vectors, indices, counts)
        self.kernel_steps += 1
        if self.kernel.tau_every and int(self.kernel_steps) % self.kernel.tau_every == 0:
            self.end_epoch()

    def codebook_terms(self, vectors: Tensor, chosen: Tensor, indices: Tensor, codebook: Tensor) -> Terms:
        """VQ-VAE's codebook loss, and in training the kernel's."""
        terms = super().codebook_terms(vectors, chosen, indices, codebook)
        if self.training and vectors.shape[0]:
            terms["kernel_loss"] = (
                self.codebook_weight,
                self._kernel_loss(vectors.detach(), indices, codebook),
            )
        return terms

    def _kernel_loss(self, vectors: Tensor, indices: Tensor, codebook: Tensor) -> Tensor:
        centre = vectors.mean(dim=0)  # small numbers: the sums below lose no digits to a common offset
        vectors, codebook = vectors - centre, codebook - centre
        size, dim = codebook.shape
        rows, tau, constant = chunk_rows(size), self.tau(), codebook.detach()
        weights, pulls, squares = vectors.new_zeros(size), torch.zeros_like(constant), vectors.new_zeros(())
        for chunk, chosen in zip(vectors.split(rows), indices.split(rows), strict=True):
            weight = self.kernel.weights(chunk, constant, tau).scatter_(1, chosen[:, None], 0.0)
            weights += weight.sum(dim=0)
            pulls.addmm_(weight.t(), chunk)
            squares += (weight.sum(dim=1) * chunk.square().sum(dim=1)).sum()
        # sum_i w_ik |z_i - c_k|^2 = W_k |c_k|^2 - 2 c_k . S_k + constant
        total = (weights * codebook.square().sum(dim=1)).sum() - 2 * (codebook * pulls).sum() + squares
        return total / (vectors.shape[0] * dim)

    def pass_gradient(self, vectors: Tensor, chosen: Tensor, codebook: Tensor) -> Tensor:
        """The estimator's gradient; with `inject` entries not chosen get it by weight (equation A14)."""
        passed = super().pass_gradient(vectors, chosen, codebook)
        if not (self.kernel.inject and self.training and vectors.shape[0]):
            return passed
        tau = self.tau()

        def weighted(chunk: Tensor) -> Tensor:
            with torch.no_grad():
                nearest = squared_distances(chunk, codebook).argmin(dim=1, keepdim=True)
                weight = self.kernel.weights(chunk, codebook, tau).scatter_(1, nearest, 0.0)
            return weight @ codebook

        extra = in_chunks(weighted, vectors.detach(), codebook.shape[0])
        return passed + (extra - extra.detach())
