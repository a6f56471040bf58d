"""What methods with one codebook and nearest-entry choice share; each says how its codebook learns."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.quantizers.base import Quantizer, QuantizerOutput
from audiocodec.quantizers.codebook import (
    check_size,
    cluster_counts,
    from_rows,
    kmeans,
    mean_square,
    nearest,
    perplexity_and_usage,
    to_rows,
)
from audiocodec.quantizers.estimators import sample_near
from audiocodec.quantizers.parts import Parts
from audiocodec.quantizers.ranks import from_first_rank, gather_rows, sum_over_ranks

if TYPE_CHECKING:
    from collections.abc import Mapping

Terms = dict[str, tuple[float, Tensor]]
"""Weights and unweighted values of the terms of a loss, by name."""


class CodebookQuantizer(Quantizer):
    """One row of codes: index of the entry nearest to each latent vector.

    A method gives `entries`, and where it needs them the hooks `before`, `codebook_terms`, `after`, `inward`,
    `outward`.
    """

    default_parts: ClassVar[Parts] = Parts()
    sampling_steps: Tensor
    option_groups: ClassVar[Mapping[str, type]] = {"parts": Parts}

    def __init__(self, dim: int, codebook_size: int, commitment_weight: float, parts: Parts | None) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__()
        check_size(dim, codebook_size)
        self.dim = dim
        self.codebook_sizes = (codebook_size,)
        self.prefixes = (1,)
        self.commitment_weight = commitment_weight
        self.codebook_weight = 0.0
        self.parts = parts or self.default_parts
        self.sampling = self.parts.sample_top_k > 1
        self.stages_after = 0
        """Stages that follow in a stack; they begin to sample before."""
        if self.sampling:
            self.register_buffer("sampling_steps", torch.zeros((), dtype=torch.long), persistent=False)
        # A rotation is no identity; a stack then passes the gradient through its stages one after another.
        self.passes_identity = self.parts.estimator != "rotation"

    @abstractmethod
    def entries(self) -> Tensor:
        """The codebook [K, D] in use, with gradient where it learns by gradient."""

    def forward(self, latents: Tensor, num_quantizers: int | Tensor | None = None) -> QuantizerOutput:
        """Quantize latents [B, D, T]; in training mode the codebook may take a step."""
        self.check_prefix(num_quantizers)
        self.check_latents(latents)
        with torch.autocast(latents.device.type, enabled=False):
            vectors = self.inward(to_rows(latents))
            if self.training:
                self.before(vectors.detach())
            codebook = self.entries()
            indices = self.select(vectors.detach(), codebook.detach())
            chosen = F.embedding(indices, codebook)
            counts = sum_over_ranks(cluster_counts(indices, self.codebook_sizes[0]))
            terms: Terms = {
                "commitment_loss": (self.commitment_weight, mean_square(vectors - chosen.detach()))
            }
            terms |= self.codebook_terms(vectors, chosen, indices, codebook)
            terms |= self.parts.penalties(vectors, chosen, codebook)
            passed = self.pass_gradient(vectors, chosen, codebook)
            quantized = from_rows(self.outward(passed), latents).to(latents.dtype)
            if self.training:
                self.after(vectors.detach(), indices, counts)
                if self.sampling:
                    self.sampling_steps += 1
        codes = indices.view(latents.shape[0], 1, latents.shape[2])
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
        metrics = {name: value.detach() for name, (_, value) in terms.items()} | perplexity_and_usage(counts)
        return QuantizerOutput(quantized, codes, loss, metrics)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents [B, D, T] -> codes [B, 1, T]."""
        self.check_prefix(num_quantizers)
        self.check_latents(latents)
        with torch.no_grad(), torch.autocast(latents.device.type, enabled=False):
            vectors = self.compared(self.inward(to_rows(latents)))
            indices = nearest(vectors, self.compared(self.entries()))
        return indices.view(latents.shape[0], 1, latents.shape[2])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, 1, T] -> quantized [B, D, T]."""
        self.check_codes(codes)
        with torch.autocast(codes.device.type, enabled=False):
            rows = self.outward(F.embedding(codes[:, 0].reshape(-1), self.entries()))
        return from_rows(rows, codes)

    @torch.no_grad()
    def initialize(self, latents: Tensor) -> None:
        """Start the codebook from k-means on latents [B, D, T] of all ranks."""
        self.check_latents(latents)
        vectors = gather_rows(self.inward(to_rows(latents)))
        if vectors.shape[0]:
            codebook = from_first_rank(kmeans(vectors, self.codebook_sizes[0]))
            self.load_codebooks({"codebook": codebook})

    def codebooks(self) -> dict[str, Tensor]:
        """The codebook [K, D] in use."""
        return {"codebook": self.entries().detach()}

    def search_entries(self) -> Tensor | None:
        """The codebook in use, unless the method measures nearness in another space."""
        base, mine = CodebookQuantizer, type(self)
        own_space = (mine.inward, mine.outward, mine.compared) != (base.inward, base.outward, base.compared)
        return None if own_space else self.entries().detach()

    def inward(self, vectors: Tensor) -> Tensor:
        """Vectors [N, D] into the space of the codebook."""
        return vectors

    def outward(self, vectors: Tensor) -> Tensor:
        """Vectors from the space of the codebook back to [N, D]."""
        return vectors

    def compared(self, vectors: Tensor) -> Tensor:
        """What of vectors or entries counts when the nearest entry is chosen."""
        return vectors

    def select(self, vectors: Tensor, codebook: Tensor) -> Tensor:
        """Index [N] of the entry for each vector: the nearest, or in training one sampled near."""
        vectors, codebook = self.compared(vectors), self.compared(codebook)
        if self.samples_now():
            top_k = min(self.parts.sample_top_k, codebook.shape[0])
            return sample_near(vectors, codebook, top_k, self.parts.sample_temperature)
        return nearest(vectors, codebook)

    def samples_now(self) -> bool:
        """Whether entries are drawn instead of chosen: in training, once it is this stage's turn."""
        if not (self.training and self.sampling):
            return False
        return int(self.sampling_steps) >= self.stages_after * self.parts.sample_interval

    def pass_gradient(self, vectors: Tensor, chosen: Tensor, codebook: Tensor) -> Tensor:
        """`chosen` [N, D] forward, the estimator's gradient backward."""
        del codebook
        return self.parts.pass_gradient(vectors, chosen, self.codebook_weight)

    def before(self, vectors: Tensor) -> None:
        """Change the codebook before a training step uses it; vectors [N, D] carry no gradient."""

    def codebook_terms(self, vectors: Tensor, chosen: Tensor, indices: Tensor, codebook: Tensor) -> Terms:
        """Terms of the loss by which the codebook learns; none where it does not learn by gradient."""
        del vectors, chosen, indices, codebook
        return {}

    def after(self, vectors: Tensor, indices: Tensor, counts: Tensor) -> None:
        """Change the codebook after a training step used it; counts [K] are of all ranks."""
