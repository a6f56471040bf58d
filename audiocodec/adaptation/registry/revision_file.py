"""One revision as bytes: a safetensors file with codebooks, or with what differs from those of another."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from audiocodec.adaptation.registry.delta import SEPARATOR, Array, apply, count_changed, difference
from audiocodec.checkpoint import identify_codebooks
from audiocodec.errors import RegistryError
from audiocodec.outside import MALFORMED, parse_json

if TYPE_CHECKING:
    from torch import Tensor

FILE_VERSION = 1
MAX_FILE_BYTES = 512 << 20
MAX_HEADER_BYTES = 1 << 20
MAX_DEPTH = 16
"""Deltas in a row; the next revision is written whole."""
IDENTITY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")


@dataclass(frozen=True)
class FileFacts:
    """What a revision file says of itself.

    Attributes:
        model_id: identity of the model.
        codebook_id: identity of the codebooks that come out.
        base: codebooks that the changes apply to; None for a file that is whole.
        depth: files that must be read before this one.
        changed: entries that differ from the base, for each codebook that differs.
    """

    model_id: str
    codebook_id: str
    base: str | None
    depth: int
    changed: dict[str, int]


@dataclass(frozen=True)
class Base:
    """Codebooks that a delta may refer to."""

    codebook_id: str
    codebooks: Mapping[str, Array]
    depth: int


def to_arrays(codebooks: Mapping[str, Tensor]) -> dict[str, Array]:
    """Tensors as single-precision arrays.

    Raises:
        RegistryError: there are none, or a name or value cannot be stored.
    """
    if not codebooks:
        raise RegistryError(
            "there are no codebooks: this model's quantizer has none, so nothing can be adapted"
        )
    arrays: dict[str, Array] = {}
    for name, codebook in codebooks.items():
        if not _NAME.fullmatch(name) or not codebook.is_floating_point():
            raise RegistryError(
                f"codebook {name!r} of {codebook.dtype}: names are letters, digits and ._-, values floats"
            )
        if not bool(codebook.isfinite().all()):
            raise RegistryError(f"codebook {name} has values that are not finite; fit it anew")
        arrays[name] = codebook.detach().cpu().float().contiguous().numpy()
    return arrays


def to_tensors(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """Arrays as tensors of their own memory."""
    import torch

    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def pack(model_id: str, codebooks: Mapping[str, Array], base: Base | None) -> tuple[bytes, FileFacts]:
    """Write codebooks as changes to `base` where that is shorter, else whole.

    Equal arguments give equal bytes.

    Raises:
        RegistryError: they are larger than a revision may be.
    """
    codebook_id = identify(codebooks)
    whole = sum(array.nbytes for array in codebooks.values())
    if whole > MAX_FILE_BYTES // 2:
        raise RegistryError(f"codebooks of {whole} bytes; at most {MAX_FILE_BYTES // 2} are kept")
    arrays, facts = dict[str, NDArray[Any]](codebooks), FileFacts(model_id, codebook_id, None, 0, {})
    if base is not None and base.depth < MAX_DEPTH and base.codebooks.keys() <= codebooks.keys():
        changes = difference(base.codebooks, codebooks)
        if 2 * sum(array.nbytes for array in changes.values()) < whole:
            changed = count_changed(base.codebooks, codebooks)
            arrays = changes
            facts = FileFacts(model_id, codebook_id, base.codebook_id, base.depth + 1, changed)
    document = json.dumps({"version": FILE_VERSION, **vars(facts)}, sort_keys=True)
    # One metadata entry: several would be written in random order.
    return to_safetensors(
        {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}, {"audiocodec": document}
    ), facts


def read_facts(data: bytes) -> FileFacts:
    """What a file says of itself; its content is not looked at.

    Raises:
        RegistryError: it is no revision file.
    """
    size = int.from_bytes(data[:8], "little")
    if len(data) > MAX_FILE_BYTES or not 0 < size <= min(len(data) - 8, MAX_HEADER_BYTES):
        raise RegistryError("no revision file, or one of an impossible size")
    try:
        header = parse_json(data[8 : 8 + size])
        fields = cast("dict[str, Any]", parse_json(header["__metadata__"]["audiocodec"]))
        version, base, depth = fields["version"], fields["base"], fields["depth"]
        identities = [fields["model_id"], fields["codebook_id"], *([] if base is None else [base])]
        changed = {str(name): int(count) for name, count in fields["changed"].items()}
    except MALFORMED as error:
        raise RegistryError("no revision file: it does not describe itself") from error
    if version != FILE_VERSION:
        raise RegistryError(
            f"revision file of version {version!r}, {FILE_VERSION} is read; update audiocodec"
        )
    if not all(isinstance(text, str) and IDENTITY.fullmatch(text) for text in identities):
        raise RegistryError("no revision file: an identity is not 64 hexadecimal digits")
    if type(depth) is not int or not (0 <= depth <= MAX_DEPTH) or (depth == 0) != (base is None):
        raise RegistryError(f"no revision file: depth {depth!r}, at most {MAX_DEPTH} is allowed")
    return FileFacts(identities[0], identities[1], base, depth, changed)


def unpack(data: bytes, base: Mapping[str, Array] | None) -> dict[str, Array]:
    """The codebooks of a file, verified against the identity it claims; `base` are those it refers to.

    Raises:
        RegistryError: it is damaged, or does not give what it claims.
    """
    facts = read_facts(data)
    try:
        arrays = from_safetensors(data)
        if facts.base is None and any(SEPARATOR in name for name in arrays):
            raise RegistryError("damaged: changes without a base")
        with np.errstate(over="ignore", invalid="ignore"):
            codebooks = apply(base or {}, arrays)
    except RegistryError:
        raise
    except MALFORMED as error:
        raise RegistryError(f"damaged ({error})") from error
    if not all(np.isfinite(codebook).all() for codebook in codebooks.values()):
        raise RegistryError("damaged: it has values that are not finite")
    if identify(codebooks) != facts.codebook_id:
        raise RegistryError(f"its content is not codebook {facts.codebook_id[:32]}: it was changed")
    return codebooks


def identify(codebooks: Mapping[str, Array]) -> str:
    """Identity of codebooks, as files name it."""
    import torch

    return identify_codebooks({name: torch.from_numpy(array) for name, array in codebooks.items()})


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
