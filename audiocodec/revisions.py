"""One model with the codebooks of several revisions, so that old files decode for ever.

A revision may bring an adapter along: other gains and offsets of the decoder.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from audiocodec.checkpoint import identify_codebooks
from audiocodec.errors import BitstreamError, InputError, RegistryError
from audiocodec.model import CodecModel
from audiocodec.quantizers.latent_map import SCALE, SHIFT, LatentMap

if TYPE_CHECKING:
    from audiocodec.bitstream import Header

ID_DIGITS = 32
"""Hexadecimal digits of an identity that a file carries."""
KEPT = 8
"""Number of revisions kept in memory."""
ADAPTER_PREFIX = "decoder."
"""Start of the names of an adapter's tensors, beside those of codebooks."""


class CodebookStore(Protocol):
    """Holds the codebooks of other revisions."""

    def get(self, codebook_id: str) -> Mapping[str, Tensor]:
        """Codebooks whose identity starts with `codebook_id`; RegistryError if there are none."""
        ...


class Revisions:
    """Finds the model with the codebooks that a file names; nets are shared, except for adapters."""

    def __init__(
        self, model: CodecModel, model_id: str, codebook_id: str, store: CodebookStore | None = None
    ) -> None:
        """`model` has the codebooks `codebook_id`; `store` has others."""
        self.model, self.model_id, self.codebook_id, self.store = model, model_id, codebook_id, store
        self.origin: Revisions | None = None
        """Revisions of the model as it was loaded, whose files need no store."""
        self._kept: dict[str, CodecModel] = {}

    def get(self, codebook_id: str) -> CodecModel:
        """The model with the codebooks whose identity starts with the first 32 digits of `codebook_id`.

        Raises:
            RegistryError: they are not available.
        """
        key = codebook_id[:ID_DIGITS]
        if self.codebook_id.startswith(key):
            return self.model
        if self.origin is not None and self.origin.codebook_id.startswith(key):
            return self.origin.model
        if key not in self._kept:
            model = self._build(key)
            if len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = model
        return self._kept[key]

    def model_for(self, header: Header) -> CodecModel:
        """The model with the codebooks that `header` names.

        Raises:
            RegistryError: it names another model, or codebooks that are not available.
            BitstreamError: it contradicts the model it names.
        """
        if not self.model_id.startswith(header.model_id):
            raise RegistryError(
                f"made with model {header.model_name!r} (identity {header.model_id}); the one in use has"
                f" identity {self.model_id[:ID_DIGITS]}; choose that model"
            )
        model = self.model
        fits = (header.model_sample_rate, header.hop_length, header.delay) == (
            model.sample_rate,
            model.hop_length,
            model.delay,
        )
        if not fits or header.codebook_sizes != model.quantizer.codebook_sizes[: header.num_quantizers]:
            raise BitstreamError(
                "the header contradicts the model it names: it was not written by this package"
            )
        return self.get(header.codebook_id)

    def _build(self, key: str) -> CodecModel:
        if self.store is None:
            raise RegistryError(
                f"codebook {key} is not available, the model has {self.codebook_id[:ID_DIGITS]}; import that"
                " revision (audiocodec codebooks import FILE --store DIR), then name the store (--store DIR)"
            )
        model = (self.origin or self).model
        quantizer, decoder = copy.deepcopy(model.quantizer), model.decoder
        tensors = self.store.get(key)
        adapter = {name: tensor for name, tensor in tensors.items() if name.startswith(ADAPTER_PREFIX)}
        codebooks = {name: tensor for name, tensor in tensors.items() if name not in adapter}
        if codebooks.keys() - quantizer.codebooks().keys() == {SCALE, SHIFT}:
            quantizer = LatentMap(quantizer)
        try:
            quantizer.load_codebooks(codebooks)
            decoder = with_adapter(decoder, adapter) if adapter else decoder
        except InputError as error:
            raise RegistryError(f"codebook {key} does not fit this model: {error}") from error
        revised = model.with_parts(quantizer, decoder, adapter).eval()
        if not identify_codebooks(revised.revision()).startswith(key):
            raise RegistryError(
                f"the store returned other codebooks than {key}; run `audiocodec codebooks verify`"
            )
        return revised


def adapter_parameters(decoder: nn.Module) -> dict[str, nn.Parameter]:
    """The gains and offsets of a decoder that a revision may replace, by the names they have there.

    All one-dimensional parameters (biases, norms, gates) are a few thousandths of a decoder, but enough to
    adapt it: Ben Zaken et al. 2022 tune nothing else, https://arxiv.org/abs/2106.10199.
    """
    named = decoder.named_parameters()
    return {f"{ADAPTER_PREFIX}{name}": parameter for name, parameter in named if parameter.dim() == 1}


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
