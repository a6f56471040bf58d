"""What methods with one codebook and nearest-entry choice share; each says how its codebook learns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.quantizers.base import LeafQuantizer, Terms
from audiocodec.quantizers.codebook import kmeans, mean_square, nearest
from audiocodec.quantizers.estimators import sample_near
from audiocodec.quantizers.parts import Parts
from audiocodec.ranks import from_first_rank


class CodebookQuantizer(LeafQuantizer):
    """The code of a vector is the index of the nearest entry of a codebook.

    A method gives `entries`, and if it needs them the hooks `before_step`, `codebook_terms`, `after_step`,
    `inward`, `outward`, `compared`.
    """

    option_groups: ClassVar[Mapping[str, Any]] = {"parts": Parts()}
    sampling_steps: Tensor

    def __init__(self, dim: int, codebook_size: int, *, parts: Parts | None = None) -> None:
        """Latents of width `dim`, `codebook_size` entries."""
        super().__init__(dim, codebook_size)
        self.parts: Parts = parts or self.option_groups["parts"]
        self.sampling = self.parts.sample_top_k > 1
        self.stages_after = 0
        """Stages that follow in a stack; they begin to sample before."""
        if self.sampling:
            self.register_buffer("sampling_steps", torch.zeros((), dtype=torch.long), persistent=False)
        # A rotation is no identity; a stack then passes the gradient through its stages one after another.
        self.passes_identity = self.parts.estimator != "rotation"

    @abstractmethod
    def entries(self) -> Tensor:
        """The codebook [K, D] in use, with gradient if it learns by gradient."""

    def quantize(self, vectors: Tensor) -> tuple[Tensor, Tensor, Terms]:
        """Take the nearest entries; in training the codebook may change before."""
        vectors = self.inward(vectors)
        if self.training:
            self.before_step(vectors.detach())
        codebook = self.entries()
        indices = self.select(vectors.detach(), codebook.detach())
        if self.training and self.sampling:
            self.sampling_steps += 1
        chosen = F.embedding(indices, codebook)
        commitment_loss = mean_square(vectors - chosen.detach())
        terms: Terms = {"commitment_loss": (self.parts.commitment_weight, commitment_loss)}
        terms |= self.codebook_terms(vectors, chosen, codebook)
        terms |= self.parts.penalties(vectors, chosen, codebook)
        return indices, self.outward(self.pass_gradient(vectors, chosen, codebook)), terms

    def choose(self, vectors: Tensor) -> Tensor:
        """Index [N] of the entry nearest to each vector."""
        return nearest(self.compared(self.inward(vectors)), self.compared(self.entries()))

    def restore(self, indices: Tensor) -> Tensor:
        """Entries at indices [N], as [N, D]."""
        return self.outward(F.embedding(indices, self.entries()))

    def fit(self, vectors: Tensor) -> None:
        """Start the codebook from k-means on vectors [N, D]."""
        codebook = kmeans(self.inward(vectors), self.codebook_sizes[0])
        self.load_codebooks({"codebook": from_first_rank(codebook)})

    def codebooks(self) -> dict[str, Tensor]:
        """The codebook [K, D] in use."""
        return {"codebook": self.entries().detach()}

    def search_entries(self) -> Tensor | None:
        """The codebook in use, unless the method measures nearness in another space."""
        base, own = CodebookQuantizer, type(self)
        own_space = (own.inward, own.outward, own.compared) != (base.inward, base.outward, base.compared)
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
        return self.parts.pass_gradient(vectors, chosen)

    def before_step(self, vectors: Tensor) -> None:
        """Change the codebook before a training step uses it; vectors [N, D] carry no gradient."""

    def codebook_terms(self, vectors: Tensor, chosen: Tensor, codebook: Tensor) -> Terms:
        """Terms of the loss by which the codebook learns; none if it does not learn by gradient."""
        del vectors, chosen, codebook
        return {}
