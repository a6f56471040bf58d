"""From a checkpoint of a training to a model folder, with the averaged weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from audiocodec.checkpoint import CONFIG_NAME, WEIGHTS_NAME, build_from_weights, check_sizes, save_model
from audiocodec.config import from_mapping, load_config
from audiocodec.errors import AudioCodecError, CheckpointError, InputError
from audiocodec.outside import MALFORMED, parse_json
from audiocodec.training.checkpoints import checkpoints
from audiocodec.training.config import TrainConfig
from audiocodec.training.folder import CONFIG_NAME as RECIPE_NAME
from audiocodec.training.folder import LOG_NAME
from audiocodec.training.starting import scores_imitated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_RECIPE_BYTES = 1 << 20


def model_metadata(name: str, step: int, imitates: Sequence[str]) -> dict[str, str]:
    """What the file of a trained model says of itself; `imitates` names scores that its losses imitate."""
    return {"name": name, "steps": str(step), "imitates": ",".join(imitates)}


def check_target(folder: Path, force: bool) -> None:
    """Make sure that a model may be written to `folder`: it holds no run, and no model unless `force`.

    Raises:
        InputError: there is.
    """
    if checkpoints(folder) or (folder / LOG_NAME).exists():
        raise InputError(f"{folder}: holds a run, whose recipe would be overwritten; choose another folder")
    there = [name for name in (WEIGHTS_NAME, CONFIG_NAME) if (folder / name).exists()]
    if there and not force:
        raise InputError(f"{folder}: has {there[0]} already; choose another folder, or replace it (--force)")


def export_checkpoint(checkpoint: Path, folder: Path, half: bool = False) -> tuple[TrainConfig, int]:
    """Write the averaged weights of a checkpoint to a model folder; return its recipe and step.

    `half` stores matrices in 16 bits.

    Raises:
        CheckpointError: the file is damaged, no checkpoint of a training, or does not fit its recipe.
        ConfigError: its recipe cannot be read.
    """
    try:
        with safe_open(checkpoint, framework="pt") as file:
            about: dict[str, str] = file.metadata() or {}
            if "step" not in about:
                raise CheckpointError(f"{checkpoint}: no checkpoint of a training; give one of a run folder")
            config, step = _recipe(checkpoint, about), int(about["step"])
            try:
                model = build_from_weights(config.model, file, _averaged)
            except CheckpointError as error:
                raise CheckpointError(f"{checkpoint}: {error}") from error
    except AudioCodecError:
        raise
    except (OSError, *MALFORMED) as error:
        raise CheckpointError(f"{checkpoint}: damaged ({error}); choose another one") from error
    imitates = about.get("imitates")
    if imitates is None:
        imitates = ",".join(scores_imitated(config.start, config.loss.weights))
    save_model(folder, model, config.model, model_metadata(config.name, step, imitates.split(",")), half=half)
    return config, step


def _averaged(name: str, learned: bool) -> str:
    """Name in a checkpoint of a tensor of the model."""
    return f"{'average' if learned else 'buffer'}/{name}"


def _recipe(checkpoint: Path, about: Mapping[str, str]) -> TrainConfig:
    """The recipe stored in the checkpoint; for an old one, config.yaml beside it."""
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
