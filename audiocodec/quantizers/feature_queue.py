"""The last features seen, first in first out, with running moments and optional weights by density."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiocodec.quantizers.codebook import chunk_rows, sample_rows, squared_distances

REFERENCE = 1024
"""Earlier features that densities are taken from."""


class FeatureQueue(nn.Module):
    """Up to `capacity` features [D] with weights; only what was filled counts.

    Sums over the queue are kept up to date in double precision, so a step costs its own features and not the
    whole queue; they are made anew each time the queue has gone round.
    """

    features: Tensor
    weights: Tensor
    first_sum: Tensor
    second_sum: Tensor
    filled: Tensor
    cursor: Tensor

    def __init__(self, capacity: int, dim: int) -> None:
        """Start empty."""
        super().__init__()
        buffers = {
            "features": torch.zeros(capacity, dim),
            "weights": torch.zeros(capacity),
            "first_sum": torch.zeros(dim, dtype=torch.float64),
            "second_sum": torch.zeros(dim, dim, dtype=torch.float64),
            "filled": torch.zeros((), dtype=torch.long),
            "cursor": torch.zeros((), dtype=torch.long),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)

    @torch.no_grad()
    def push(self, rows: Tensor, weights: Tensor | None = None) -> None:
        """Add features [N, D], of weights [N] or 1, in place of the oldest."""
        capacity = self.features.shape[0]
        rows = rows[-capacity:]
        weights = torch.ones_like(rows[:, 0]) if weights is None else weights[-capacity:]
        places = (int(self.cursor) + torch.arange(len(rows), device=rows.device)) % capacity
        self._count(places, -1)  # places never filled weigh 0
        self.features[places], self.weights[places] = rows, weights
        self._count(places, 1)
        went_round = int(self.cursor) + len(rows) >= capacity
        self.cursor.fill_((int(self.cursor) + len(rows)) % capacity)
        self.filled.fill_(min(int(self.filled) + len(rows), capacity))
        if went_round:
            self.first_sum.zero_()
            self.second_sum.zero_()
            self._count(torch.arange(capacity, device=rows.device), 1)

    def _count(self, places: Tensor, sign: int) -> None:
        rows, weights = self.features[places].double(), self.weights[places].double()
        self.first_sum += sign * (weights @ rows)
        self.second_sum += sign * ((weights[:, None] * rows).t() @ rows)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Weighted mean [D] and covariance [D, D], unbiased for equal weights; needs two features."""
        count, total = int(self.filled), self.weights.double().sum()
        mean = self.first_sum / total
        covariance = (self.second_sum / total - torch.outer(mean, mean)) * (count / (count - 1))
        return mean.float(), covariance.float()

    def sample(self, count: int) -> Tensor:
        """Draw `count` features with probability by weight; without repetition where all weigh the same."""
        rows, weights = self.features[: int(self.filled)], self.weights[: int(self.filled)]
        if bool((weights == weights[0]).all()):
            return sample_rows(rows, count)
        cumulated = weights.double().cumsum(dim=0)
        drawn = torch.rand(count, device=rows.device, dtype=torch.float64) * cumulated[-1]
        return rows[torch.searchsorted(cumulated, drawn).clamp(max=len(rows) - 1)]

    def zador_weights(self, rows: Tensor) -> Tensor:
        """Weights [N] proportional to f^(-2 / (D + 2)), which turn a density f into f^(D / (D + 2)).

        That is the density of entries with the least squared error in the limit of many: Zador 1982,
        https://doi.org/10.1109/TIT.1982.1056490. f is taken from the distance r to the nearest of M features,
        f ~ 1 / (M r^D): the mean of (M^(1/D) r)^(2 D / (D + 2)) goes with the wanted power of f.
        """
        dim = rows.shape[1]
        if int(self.filled) >= REFERENCE:
            radius = _nearest_radius(rows, sample_rows(self.features[: int(self.filled)], REFERENCE))
        elif len(rows) > 1:
            first, second = rows.chunk(2)
            radius = torch.cat([_nearest_radius(first, second), _nearest_radius(second, first)])
        else:
            radius = torch.ones_like(rows[:, 0])
        return radius.clamp(min=1e-12) ** (2 * dim / (dim + 2))


def _nearest_radius(rows: Tensor, reference: Tensor) -> Tensor:
    """Distance [N] to the nearest of `reference` [M, D], times M^(1/D) to be alike for every M."""
    size, dim = reference.shape
    parts = [squared_distances(chunk, reference).amin(dim=1) for chunk in rows.split(chunk_rows(size))]
    return size ** (1 / dim) * torch.cat(parts).sqrt()
