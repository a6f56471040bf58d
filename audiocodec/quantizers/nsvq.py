"""NS-VQ, a kernel moves unused entries too: https://arxiv.org/abs/2602.18896, section 3.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from audiocodec.errors import ConfigError
from audiocodec.quantizers.base import Terms
from audiocodec.quantizers.codebook import chunk_rows, scores
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.vector import VectorQuantizer


@dataclass(frozen=True)
class Kernel:
    """How strongly each vector draws the entries that it did not choose.

    Attributes:
        weighting: "paper", exp(-d^2 / tau) / 2 (equation 17, tau = 2 sigma^2), or "code", what the authors
            run: strength * K * softmax(-d^2 / tau), at most 1.
        strength: of "code"; theirs is 0.01.
        tau: start of the kernel's width; the paper's is 1.
        tau_decay: factor at each epoch; the paper's is 0.9.
        tau_every: training steps that count as an epoch; 0 keeps the width as it starts.
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
        return self.weights_of_scores(scores(vectors, codebook), vectors, tau)

    def weights_of_scores(self, half: Tensor, vectors: Tensor, tau: float) -> Tensor:
        """The same from `codebook.scores`, half of d^2 - |z|^2, which is overwritten."""
        logits = half.mul_(-2 / tau)
        if self.weighting == "paper":
            logits -= vectors.square().sum(dim=1, keepdim=True) / tau
            return logits.clamp_(max=0).exp_().mul_(0.5)
        # |z|^2 is the same for all entries of a vector, and leaves the softmax as it is.
        return logits.softmax(dim=1).mul_(self.strength * half.shape[1]).clamp_(max=1)


class Pull(NamedTuple):
    """Sums over vectors of the weights of entries not chosen: all that the kernel's loss needs.

    Attributes:
        weights: [K], of w_ik.
        moments: [K, D], of w_ik (z_i - center).
        squares: [], of w_ik |z_i - center|^2 over entries too.
        center: [D], mean of the vectors; small numbers lose no digits to a common offset.
        indices: [N], of the entries chosen.
        matrix: the weights [N, K] if one chunk holds them all; else None.
    """

    weights: Tensor
    moments: Tensor
    squares: Tensor
    center: Tensor
    indices: Tensor
    matrix: Tensor | None


class _ToEntries(torch.autograd.Function):
    """Nothing [N, D] forward; backward each entry gets the gradients of the vectors by weight (A14)."""

    @staticmethod
    def forward(
        ctx: Any, codebook: Tensor, vectors: Tensor, indices: Tensor, pull: Pull, kernel: Kernel, tau: float
    ) -> Tensor:
        ctx.save_for_backward(codebook, vectors, indices, *([] if pull.matrix is None else [pull.matrix]))
        ctx.kernel, ctx.tau = kernel, tau
        return torch.zeros_like(vectors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        codebook, vectors, indices, *matrix = ctx.saved_tensors
        total, rows = torch.zeros_like(codebook), chunk_rows(codebook.shape[0])
        parts = (tensor.split(rows) for tensor in (vectors, indices, gradients[0]))
        for chunk, chosen, gradient in zip(*parts, strict=True):
            if matrix:
                weight = matrix[0]
            else:
                weight = ctx.kernel.weights(chunk, codebook, ctx.tau).scatter_(1, chosen[:, None], 0.0)
            total.addmm_(weight.t(), gradient)
        return total, None, None, None, None, None


class NonStationaryVectorQuantizer(VectorQuantizer):
    """VQ-VAE whose codebook loss also draws entries that were not chosen, the less the farther they are.

    L = mean |sg(z) - q|^2 + sum_k!=q w_k |sg(z) - c_k|^2, over vectors and channels, with constant weights w.
    As w is constant, the loss needs only sums over vectors of w and w z: N x K is never held whole.
    """

    option_groups = {"parts": Parts(estimator="modified"), "kernel": Kernel()}  # noqa: RUF012  typed in the base

    kernel_steps: Tensor

    def __init__(
        self,
        dim: int,
        codebook_size: int,
        *,
        kernel: Kernel | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__(dim, codebook_size, parts=parts)
        self.kernel: Kernel = kernel or self.option_groups["kernel"]
        self.register_buffer("kernel_steps", torch.zeros((), dtype=torch.long), persistent=False)

    def tau(self) -> float:
        """Width of the kernel now."""
        epochs = int(self.kernel_steps) // self.kernel.tau_every if self.kernel.tau_every else 0
        return max(self.kernel.tau_floor, self.kernel.tau * self.kernel.tau_decay**epochs)

    def after_step(self, vectors: Tensor, indices: Tensor, counts: Tensor) -> None:
        """Count the steps, by which the kernel becomes narrower."""
        super().after_step(vectors, indices, counts)
        self.kernel_steps += 1

    def select(self, vectors: Tensor, codebook: Tensor) -> Tensor:
        """Index [N] of the entry for each vector; in training the same distances also give the weights."""
        self._pull: Pull | None = None
        if not self.training or not vectors.shape[0]:
            return super().select(vectors, codebook)
        sampled = super().select(vectors, codebook) if self.samples_now() else None
        rows, tau, center = chunk_rows(codebook.shape[0]), self.tau(), vectors.mean(dim=0)
        total, moments = vectors.new_zeros(codebook.shape[0]), torch.zeros_like(codebook)
        squares, weight, parts = vectors.new_zeros(()), None, list[Tensor]()
        for start in range(0, vectors.shape[0], rows):
            chunk = vectors[start : start + rows]
            half = scores(chunk, codebook)
            parts.append(half.argmin(dim=1) if sampled is None else sampled[start : start + rows])
            weight = self.kernel.weights_of_scores(half, chunk, tau).scatter_(1, parts[-1][:, None], 0.0)
            total += weight.sum(dim=0)
            moments.addmm_(weight.t(), chunk - center)
            squares += (weight.sum(dim=1) * (chunk - center).square().sum(dim=1)).sum()
        indices = torch.cat(parts)
        self._pull = Pull(total, moments, squares, center, indices, weight if len(parts) == 1 else None)
        return indices

    def codebook_terms(self, vectors: Tensor, chosen: Tensor, codebook: Tensor) -> Terms:
        """VQ-VAE's codebook loss, and in training the kernel's."""
        terms = super().codebook_terms(vectors, chosen, codebook)
        if self._pull is not None:
            kernel_loss = self._kernel_loss(self._pull, codebook, vectors)
            terms["kernel_loss"] = (self.parts.codebook_weight, kernel_loss)
        return terms

    def _kernel_loss(self, pull: Pull, codebook: Tensor, vectors: Tensor) -> Tensor:
        # sum_i w_ik |z_i - c_k|^2 = W_k |c_k|^2 - 2 c_k . S_k + constant
        centered = codebook - pull.center
        total = (pull.weights * centered.square().sum(dim=1)).sum() - 2 * (centered * pull.moments).sum()
        return (total + pull.squares) / vectors.numel()

    def pass_gradient(self, vectors: Tensor, chosen: Tensor, codebook: Tensor) -> Tensor:
        """The estimator's gradient; with `inject` entries not chosen get it by weight (equation A14)."""
        passed, pull = super().pass_gradient(vectors, chosen, codebook), self._pull
        self._pull = None
        if pull is None or not self.kernel.inject:
            return passed
        zeros = _ToEntries.apply(codebook, vectors.detach(), pull.indices, pull, self.kernel, self.tau())
        return passed + zeros
