"""Joint choice of the codes of a residual stack: the nearest entry is not always the best start for the next.

M-algorithm search of multi-stage vector quantizers: LeBlanc et al., "Efficient search and design
procedures for robust multi-stage VQ of LPC parameters", IEEE Transactions on Speech and Audio
Processing 1(4), 1993.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from audiocodec.quantizers.codebook import CHUNK_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def beam_search(vectors: Tensor, codebooks: Sequence[Tensor], width: int) -> Tensor:
    """Indices [N, stages] of entries that add up to nearly `vectors` [N, D], keeping `width` paths a stage.

    `width` 1 is the usual greedy choice; work and memory grow with it. Codebooks are [K, D], coarsest first.
    """
    rows = max(1, CHUNK_ELEMENTS // (width * max(codebook.shape[0] for codebook in codebooks)))
    return torch.cat([_search(chunk, codebooks, width) for chunk in vectors.split(rows)])


def _search(vectors: Tensor, codebooks: Sequence[Tensor], width: int) -> Tensor:
    count = vectors.shape[0]
    residuals = vectors[:, None]  # [N, paths, D]
    paths = torch.zeros(count, 1, 0, dtype=torch.long, device=vectors.device)
    for codebook in codebooks:
        size = codebook.shape[0]
        # Squared error of each path continued by each entry, halved.
        scores = 0.5 * codebook.square().sum(dim=1) - residuals @ codebook.t()
        scores = scores + 0.5 * residuals.square().sum(dim=2, keepdim=True)  # [N, paths, K]
        # The best of all lie within the best of each path; two small selections are quicker than a large one.
        kept = min(width, size)
        by_path, entries = scores.topk(kept, dim=2, largest=False)
        _, order = by_path.flatten(1).topk(min(width, by_path.shape[1] * kept), dim=1, largest=False)
        parents, entries = order // kept, entries.flatten(1).gather(1, order)
        paths = paths.gather(1, parents[:, :, None].expand(-1, -1, paths.shape[2]))
        paths = torch.cat([paths, entries[:, :, None]], dim=2)
        residuals = residuals.gather(1, parents[:, :, None].expand(-1, -1, vectors.shape[1]))
        residuals = residuals - F.embedding(entries, codebook)
    return paths[:, 0]
