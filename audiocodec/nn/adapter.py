"""The weights of a decoder that a revision may bring along with its codebooks: gains and offsets.

All one-dimensional parameters (biases, norms, gates) are a few thousandths of a decoder, but enough to adapt
it: Ben Zaken et al. 2022 tune nothing else, https://arxiv.org/abs/2106.10199.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from audiocodec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

PREFIX = "decoder."
"""Start of their names, beside those of codebooks."""


def adapter_parameters(decoder: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters themselves, by the names they have in a revision."""
    named = decoder.named_parameters()
    return {f"{PREFIX}{name}": parameter for name, parameter in named if parameter.dim() == 1}


def with_adapter(decoder: nn.Module, adapter: Mapping[str, Tensor]) -> nn.Module:
    """A copy of `decoder` with other gains and offsets; all larger weights are shared with it.

    Raises:
        InputError: a name is missing or unknown, a shape differs, or a value is not finite.
    """
    own = adapter_parameters(decoder)
    if own.keys() != adapter.keys():
        odd = sorted(own.keys() ^ adapter.keys())
        raise InputError(f"the adapter does not fit this decoder: {odd[0]} and {len(odd) - 1} more differ")
    for name, values in adapter.items():
        if values.shape != own[name].shape or not bool(values.isfinite().all()):
            raise InputError(
                f"{name} of the adapter is {tuple(values.shape)}, not {tuple(own[name].shape)}, or has"
                " values that are not finite"
            )
    small = {id(parameter) for parameter in own.values()}
    shared = {id(p): p for p in (*decoder.parameters(), *decoder.buffers()) if id(p) not in small}
    adapted = copy.deepcopy(decoder, shared)
    with torch.no_grad():
        for name, parameter in adapter_parameters(adapted).items():
            parameter.copy_(adapter[name])
    return adapted
