"""Models on disk: a safetensors file with weights and configuration, and the configuration as YAML beside it.

This is the only place that reads weights. Nothing is unpickled, and sizes are checked before memory is taken.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor
from torch.overrides import TorchFunctionMode

from audiocodec.config import dump_yaml, from_mapping, load_config, to_mapping
from audiocodec.devices import undisturbed
from audiocodec.errors import AudioCodecError, CheckpointError, InputError
from audiocodec.model import CodecModel, ModelConfig, build_model
from audiocodec.outside import MALFORMED, parse_json
from audiocodec.storage import make_folder, replacing

CHECKPOINT_VERSION = 1
WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "config.yaml"
MAX_FILE_BYTES = 2 << 30
MAX_HEADER_BYTES = 4 << 20
MAX_SIZE = 1 << 22
"""Largest number that a configuration may hold; far above every size and rate in use."""
MAX_REPEATS = 512
"""Most stages or blocks: building them costs time before their weights can be compared."""
RANDOM_PHASE_PREFIX = "noise_"
"""Start of the names of fields of `ModelConfig.net` that only change what is random in a decoder."""
REPEATS = ("blocks", "layers", "num_quantizers", "substeps")
"""Ends of the names of such numbers."""
_DTYPES = frozenset({"F16", "BF16", "F32", "I64", "BOOL"})
"""Of weights; BOOL only for flags."""


def save_model(
    folder: str | os.PathLike[str],
    model: CodecModel,
    config: ModelConfig,
    metadata: Mapping[str, str] | None = None,
    *,
    half: bool = False,
) -> None:
    """Write `model.safetensors` and `config.yaml` into `folder`, replacing what is there.

    With `half`, matrices and kernels are stored in 16 bits. Vectors, scalars and codebooks never are: they
    are small, and a codebook keeps its identity whatever the precision of the other weights. A codebook
    that a method computes from weights is stored as computed here, as other machines round differently.

    Raises:
        CheckpointError: a weight is not finite or too large for 16 bits, or the folder cannot be written.
    """
    model = _with_stored_codebooks(model)
    codebooks = _codebook_keys(model)
    tensors = {
        name: _stored(name, tensor, half and name not in codebooks)
        for name, tensor in model.state_dict().items()
    }
    kept = {
        name: value for name, value in (metadata or {}).items() if name not in ("model_id", "codebook_id")
    }
    document = {"version": CHECKPOINT_VERSION, "config": to_mapping(config), "metadata": kept}
    # One metadata entry: safetensors writes several in random order, and equal models shall be equal files.
    data = to_safetensors(tensors, {"audiocodec": json.dumps(document, sort_keys=True)})
    folder = Path(folder)
    try:
        make_folder(folder)
        for name, content in ((WEIGHTS_NAME, data), (CONFIG_NAME, dump_yaml(config).encode())):
            with replacing(folder / name) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot be written ({error.strerror}); choose another folder"
        ) from error


@undisturbed(torch.device("cpu"))
def load_model(
    path: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> tuple[CodecModel, ModelConfig, dict[str, str]]:
    """Read a model from its folder or weight file, with the configuration and metadata it was saved with.

    The model is in single precision and evaluation mode. `model_id` and `codebook_id`, computed from what was
    read, are added to the metadata.

    Raises:
        CheckpointError: the file is missing, damaged, too large or does not fit its configuration.
    """
    file = weights_file(path)
    try:
        with safe_open(_check_file(file), framework="pt") as stored:
            document = _document(stored.metadata())
            raw = cast("dict[str, Any]", document["config"])
            config = _config(raw)
            _check_beside(file, config)
            model = build_from_weights(config, stored)
    except AudioCodecError as error:
        raise CheckpointError(f"{file}: {error}") from error
    except (OSError, *MALFORMED) as error:
        raise CheckpointError(f"{file}: damaged or no model file ({error}); get a whole copy") from error
    _check_finite(file, model)
    codebooks = {name: codebook.clone() for name, codebook in model.quantizer.codebooks().items()}
    model.quantizer.load_codebooks(codebooks)  # so that training will not start them anew
    metadata = {str(name): str(value) for name, value in document["metadata"].items()}
    metadata |= {"model_id": model_id(model, raw), "codebook_id": identify_codebooks(codebooks)}
    return model.to(device).eval(), config, metadata


class _ShapesOnly(TorchFunctionMode):
    """Gives empty tensors of the right shape for what nets compute while they are built on the meta device.

    torch would import its compiler to find the shapes, which takes longer than to encode a minute.
    """

    _FILLED = (torch.randn, torch.rand, torch.hann_window)
    _ELEMENTWISE = (Tensor.mul, Tensor.div, Tensor.add, Tensor.sub, Tensor.sqrt, Tensor.clamp, Tensor.sigmoid)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kind = (kwargs or {}).get("dtype")
        if func in self._FILLED:
            return torch.empty(*args, dtype=kind)
        if func is torch.arange and len(args) == 1:
            return torch.empty(args[0], dtype=kind or torch.int64)
        if func in self._ELEMENTWISE:
            tensors = [value for value in args if isinstance(value, Tensor)]
            return torch.empty(np.broadcast_shapes(*(t.shape for t in tensors)), dtype=tensors[0].dtype)
        return args[0] if func is Tensor.normal_ else func(*args, **(kwargs or {}))


def build_from_weights(
    config: ModelConfig, stored: Any, stored_name: Callable[[str, bool], str] | None = None
) -> CodecModel:
    """Build the model of `config` with the weights of an open safetensors file.

    Names and shapes are compared with the file before any memory is taken. `stored_name` gives the name in
    the file of a weight, from its name and whether it is a parameter that learns; without it the names are
    equal, and the file must hold nothing else.

    Raises:
        CheckpointError: no net can be built from `config`, or the weights do not fit it.
    """
    build_errors = (ArithmeticError, IndexError, MemoryError, RuntimeError, TypeError, ValueError)
    try:
        with torch.device("meta"), _ShapesOnly(), warnings.catch_warnings(action="ignore"):
            empty = build_model(config)
    except build_errors as error:
        raise CheckpointError(f"no net can be built from its configuration: {error}") from error
    learned, wanted = {name for name, _ in empty.named_parameters()}, empty.state_dict()
    names = {name: stored_name(name, name in learned) if stored_name else name for name in wanted}
    slices = {name: stored.get_slice(name) for name in stored.keys()}  # noqa: SIM118  safe_open is no mapping
    extra = set[str]() if stored_name else slices.keys() - wanted.keys()
    shapes = {names[name]: list(tensor.shape) for name, tensor in wanted.items()}
    stored_shapes = {name: slices[name].get_shape() for name in slices.keys() & (shapes.keys() | extra)}
    wrong = sorted(n for n in shapes.keys() | extra if shapes.get(n) != stored_shapes.get(n))
    if wrong:
        name = wrong[0]
        raise CheckpointError(
            f"{len(wrong)} weights do not fit the configuration, first {name}:"
            f" {stored_shapes.get(name, 'missing')} in the file, {shapes.get(name, 'none')} wanted"
        )
    for name, tensor in wanted.items():
        kind = slices[names[name]].get_dtype()
        if kind not in _DTYPES or (kind == "BOOL") != (tensor.dtype == torch.bool):
            raise CheckpointError(f"weight {names[name]} must not be stored as {kind}; get a whole copy")
    with torch.random.fork_rng(devices=[]):
        model = build_model(config)
    for name, tensor in model.state_dict().items():
        tensor.copy_(stored.get_tensor(names[name]))
    return model


def weights_file(path: str | os.PathLike[str]) -> Path:
    """Find the weight file: `path` is a model folder or the file itself.

    Raises:
        CheckpointError: there is no such file.
    """
    path = Path(path)
    file = path / WEIGHTS_NAME if path.is_dir() else path
    if not os.path.isfile(file):
        raise CheckpointError(f"{path}: no model here; name a folder with {WEIGHTS_NAME}, or the file itself")
    return file


def model_id(model: CodecModel, config: ModelConfig | Mapping[str, Any]) -> str:
    """SHA-256 in hexadecimal over configuration and all weights except the codebooks.

    A configuration read from a file is taken as it stands there, so that a field added to `ModelConfig` later
    does not change the identity of existing models. The settings of random phases in the decoder are left
    out: they may be changed later, and files of the model can still be decoded.
    """
    mapping = dict(to_mapping(config) if isinstance(config, ModelConfig) else config)
    net = cast("dict[str, Any]", mapping.get("net", {}))
    mapping["net"] = {name: value for name, value in net.items() if not name.startswith(RANDOM_PHASE_PREFIX)}
    codebooks = _codebook_keys(model)
    weights = {name: tensor for name, tensor in model.state_dict().items() if name not in codebooks}
    return _digest(json.dumps(mapping, sort_keys=True, separators=(",", ":")), weights)


def identify_codebooks(codebooks: Mapping[str, Tensor]) -> str:
    """The `codebook_id` of codebooks: SHA-256 in hexadecimal over their names, shapes and values."""
    return _digest("codebooks", codebooks)


def _digest(start: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(start.encode())
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous().numpy()
        kind = "<i8" if array.dtype.kind in "iu" else "<f4"
        digest.update(f"\n{name} {kind} {list(array.shape)}\n".encode())
        digest.update(array.astype(kind, copy=False).tobytes())
    return digest.hexdigest()


def _codebook_keys(model: CodecModel) -> set[str]:
    """Names in the state_dict of the tensors that `codebooks()` hands out."""
    places = {(codebook.data_ptr(), codebook.shape) for codebook in model.quantizer.codebooks().values()}
    return {
        name for name, tensor in model.state_dict().items() if (tensor.data_ptr(), tensor.shape) in places
    }


def _with_stored_codebooks(model: CodecModel) -> CodecModel:
    """The model; if codebooks are computed from weights, a copy that holds them as tensors."""
    codebooks = {name: codebook.clone() for name, codebook in model.quantizer.codebooks().items()}
    if len(_codebook_keys(model)) == len(codebooks):
        return model
    quantizer = copy.deepcopy(model.quantizer)
    try:
        quantizer.load_codebooks(codebooks)
    except InputError as error:
        raise CheckpointError(f"{error}; save an earlier state") from error
    return model.with_parts(quantizer)


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu()
    if not tensor.is_floating_point():
        return tensor.clone().contiguous()
    stored = tensor.to(torch.float16 if half and tensor.dim() > 1 else torch.float32)
    if not bool(torch.isfinite(stored).all()):
        raise CheckpointError(
            f"weight {name} is not finite as {stored.dtype}; save an earlier state or full precision"
        )
    return stored.clone().contiguous()


def _check_file(file: Path) -> Path:
    """Refuse sizes that no model has, before anything is parsed."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    if size > MAX_FILE_BYTES or not 0 < header <= min(size, MAX_HEADER_BYTES):
        raise CheckpointError("no model file, or one of an impossible size; get a whole copy")
    return file


def _document(metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        document = parse_json((metadata or {})["audiocodec"], finite=False)
        version, parts = document["version"], (document["config"], document["metadata"])
    except MALFORMED as error:
        training = metadata is not None and "step" in metadata
        hint = (
            "make one of this checkpoint: audiocodec export"
            if training
            else "name one written by this package"
        )
        raise CheckpointError(f"the file holds no audiocodec model; {hint}") from error
    if version != CHECKPOINT_VERSION:
        raise CheckpointError(
            f"checkpoint version {version!r}, this package reads {CHECKPOINT_VERSION}; update it"
        )
    if not all(isinstance(part, dict) for part in parts):
        raise CheckpointError("configuration or metadata are not mappings; get a whole copy")
    return document


def _config(raw: dict[str, Any]) -> ModelConfig:
    check_sizes(raw)
    try:
        return from_mapping(ModelConfig, raw)
    except MALFORMED as error:
        raise CheckpointError(f"its configuration cannot be used: {error}") from error


def check_sizes(value: Any, name: str = "") -> None:
    """Refuse numbers with which building the net would take too long or too much memory.

    Raises:
        CheckpointError: names the number.
    """
    if isinstance(value, dict | list):
        items = (
            cast("dict[Any, Any]", value).items()
            if isinstance(value, dict)
            else [(name, item) for item in value]
        )
        for key, item in items:
            check_sizes(item, str(key))
    elif isinstance(value, int | float):
        limit = MAX_REPEATS if name.endswith(REPEATS) else MAX_SIZE
        if not abs(value) <= limit:
            raise CheckpointError(f"its configuration has {name} = {value!r}, at most {limit} is allowed")


def _check_beside(file: Path, config: ModelConfig) -> None:
    """Refuse a config.yaml that was edited: otherwise the change would be ignored."""
    beside = file.with_name(CONFIG_NAME)
    if file.name != WEIGHTS_NAME or not beside.is_file():
        return
    if load_config(ModelConfig, beside, extend=False) != config:
        raise CheckpointError(
            f"{beside} differs from the configuration inside the file; delete it or restore it"
        )


def _check_finite(file: Path, model: CodecModel) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{file}: weight {name} holds NaN or infinity; get a whole copy")
