"""Sharing statistics between the processes of one training, so that codebooks stay equal on all of them.

Every function is the identity in a single process. All ranks must call them in the same order.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Processes that train together; 1 outside `torch.distributed`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Sum of `tensor` over all ranks, without gradient."""
    if world_size() == 1:
        return tensor
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def max_over_ranks(number: int, device: torch.device) -> int:
    """Largest `number` of any rank."""
    if world_size() == 1:
        return number
    largest = torch.tensor(number, device=device)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def pooled_mean(total: Tensor, count: int) -> Tensor:
    """Mean over the rows of all ranks, from this rank's sum `total` over `count` rows; 0 of no rows.

    Data-parallel training averages gradients over ranks; this rank's is such that the average is the mean's.
    """
    if world_size() == 1:
        return total / max(count, 1)
    counts = sum_over_ranks(torch.tensor(float(count), device=total.device)).clamp(min=1)
    share = total * (world_size() / counts)
    return share + (sum_over_ranks(share) / world_size() - share).detach()


def from_first_rank(tensor: Tensor) -> Tensor:
    """The `tensor` of rank 0 on every rank; shapes must agree."""
    if world_size() == 1:
        return tensor
    shared = tensor.detach().clone().contiguous()
    dist.broadcast(shared, src=0)
    return shared


def gather_rows(rows: Tensor) -> Tensor:
    """The `rows` [N, D] of all ranks one after another; N may differ by rank."""
    if world_size() == 1:
        return rows
    lengths = [torch.zeros((), dtype=torch.long, device=rows.device) for _ in range(world_size())]
    dist.all_gather(lengths, torch.tensor(rows.shape[0], device=rows.device))
    longest = max(int(length) for length in lengths)
    padded = rows.new_zeros(longest, rows.shape[1])
    padded[: rows.shape[0]] = rows
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(length)] for part, length in zip(parts, lengths, strict=True)])
