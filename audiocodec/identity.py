"""Who a model is: hashes over configuration, weights and codebooks, which compressed files carry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audiocodec.config import to_mapping
from audiocodec.model import CodecModel, ModelConfig

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.quantizers import Quantizer


def model_id(model: CodecModel, config: ModelConfig | Mapping[str, Any]) -> str:
    """SHA-256 in hexadecimal over configuration and all weights that are no codebooks.

    A configuration read from a file is taken as it stands there, so that a field added to `ModelConfig` later
    does not change the identity of models that exist.
    """
    mapping = to_mapping(config) if isinstance(config, ModelConfig) else config
    codebooks = codebook_keys(model)
    weights = {name: tensor for name, tensor in model.state_dict().items() if name not in codebooks}
    return _digest(json.dumps(mapping, sort_keys=True, separators=(",", ":")), weights)


def codebook_id(quantizer: Quantizer) -> str:
    """SHA-256 in hexadecimal over names, shapes and values of all codebooks."""
    return _digest("codebooks", quantizer.codebooks())


def _digest(start: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(start.encode())
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous().numpy()
        kind = "<i8" if array.dtype.kind in "iu" else "<f4"
        digest.update(f"\n{name} {kind} {list(array.shape)}\n".encode())
        digest.update(array.astype(kind, copy=False).tobytes())
    return digest.hexdigest()


def codebook_keys(model: CodecModel) -> set[str]:
    """Names in the state_dict of the tensors that `codebooks()` hands out."""
    mine = {id(codebook) for codebook in model.quantizer.codebooks().values()}
    return {name for name, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in mine}
