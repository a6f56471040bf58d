"""From a training to a model folder: the averaged weights, which are what is evaluated and published."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors import safe_open

from audiocodec.checkpoint import CONFIG_NAME, WEIGHTS_NAME, check_sizes, save_model
from audiocodec.config import from_mapping, load_config
from audiocodec.errors import AudioCodecError, CheckpointError, InputError
from audiocodec.model import build_model
from audiocodec.outside import MALFORMED, parse_json
from audiocodec.training.config import TrainConfig
from audiocodec.training.run.folder import CONFIG_NAME as RECIPE_NAME
from audiocodec.training.run.folder import LOG_NAME, checkpoints
from audiocodec.training.run.state import best_checkpoint, newest_checkpoint
from audiocodec.training.starting import scores_imitated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from audiocodec.model import CodecModel, ModelConfig

MAX_RECIPE_BYTES = 1 << 20


class Exported(NamedTuple):
    """What a model folder was made of: the recipe, and how many steps it had taken."""

    config: TrainConfig
    step: int


def write_model(
    folder: Path,
    model: CodecModel,
    run: Exported,
    imitates: Sequence[str],
    half: bool = False,
) -> None:
    """Write `model`, with the averaged weights of a run, to a model folder, as `audiocodec.load` reads it.

    `imitates` names the scores that its losses imitate; `half` stores matrices in 16 bits.

    Raises:
        CheckpointError: as `save_model`.
    """
    metadata = {"name": run.config.name, "steps": str(run.step), "imitates": ",".join(imitates)}
    save_model(folder, model, run.config.model, metadata, half=half)


def choose_checkpoint(path: Path, best: bool = False) -> Path:
    """The checkpoint that `path` is, or the newest one of the run folder that it is, or the best one.

    Raises:
        InputError: there is none.
    """
    if path.is_file():
        return path
    found = best_checkpoint(path) if best else newest_checkpoint(path)
    if found is None:
        kind = "checkpoint that a validation scored" if best and checkpoints(path) else "checkpoint"
        hint = "leave --best out" if best and checkpoints(path) else "name a run folder, or a file of one"
        raise InputError(f"{path}: has no {kind}; {hint}")
    return found


def check_target(folder: Path, force: bool) -> None:
    """Make sure that a model may be written to `folder`: there is no run, and no model that has to stay.

    Raises:
        InputError: there is.
    """
    if checkpoints(folder) or (folder / LOG_NAME).exists():
        raise InputError(f"{folder}: holds a run, whose recipe would be replaced; choose another folder")
    there = [name for name in (WEIGHTS_NAME, CONFIG_NAME) if (folder / name).exists()]
    if there and not force:
        raise InputError(f"{folder}: has {there[0]} already; choose another folder, or replace it (--force)")


def export_checkpoint(checkpoint: Path, folder: Path, half: bool = False) -> Exported:
    """Write the averaged weights of a checkpoint to a model folder.

    Raises:
        CheckpointError: it is damaged, no checkpoint of a training, or does not fit its recipe.
        ConfigError: its recipe cannot be read.
    """
    try:
        with safe_open(checkpoint, framework="pt") as file:
            about: dict[str, str] = file.metadata() or {}
            if "step" not in about:
                raise CheckpointError(f"{checkpoint}: no checkpoint of a training; name one in a run folder")
            run = Exported(_recipe(checkpoint, about), int(about["step"]))
            model = _averaged(checkpoint, run.config.model, file)
    except AudioCodecError:
        raise
    except (OSError, *MALFORMED) as error:
        raise CheckpointError(f"{checkpoint}: damaged ({error}); choose another one") from error
    noted = about.get("imitates")
    imitates = scores_imitated(run.config) if noted is None else noted.split(",")
    write_model(folder, model, run, imitates, half)
    return run


def _recipe(checkpoint: Path, about: Mapping[str, str]) -> TrainConfig:
    """What the checkpoint says of itself; an older one has its run's config.yaml beside it."""
    if "recipe" not in about:
        return load_config(TrainConfig, checkpoint.with_name(RECIPE_NAME), extend=False)
    try:
        if len(about["recipe"]) > MAX_RECIPE_BYTES:
            raise CheckpointError(f"its recipe is larger than {MAX_RECIPE_BYTES} bytes; get a whole copy")
        mapping: dict[str, Any] = parse_json(about["recipe"])
        check_sizes(mapping["model"])
        return from_mapping(TrainConfig, mapping)
    except AudioCodecError as error:
        raise CheckpointError(f"{checkpoint}: {error}") from error
    except MALFORMED as error:
        raise CheckpointError(f"{checkpoint}: its recipe cannot be understood; get a whole copy") from error


def _averaged(checkpoint: Path, config: ModelConfig, file: Any) -> CodecModel:
    """Build the model of a checkpoint, after comparing names and shapes on a device without memory."""
    with torch.device("meta"), warnings.catch_warnings(action="ignore"):
        built = build_model(config)
    learned = {name for name, _ in built.named_parameters()}
    places = {name: f"{'average' if name in learned else 'buffer'}/{name}" for name in built.state_dict()}
    there = set(file.keys())
    for name, tensor in built.state_dict().items():
        place = places[name]
        if place not in there or file.get_slice(place).get_shape() != list(tensor.shape):
            found = file.get_slice(place).get_shape() if place in there else "missing"
            raise CheckpointError(
                f"{checkpoint}: does not fit its recipe: {place} is {found}, {list(tensor.shape)} wanted"
            )
    model = build_model(config).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(file.get_tensor(places[name]))
    return model
