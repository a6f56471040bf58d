"""Recipes: files of your own, and those that come with the package, found by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiocodec.config import find_shipped, load_config, recipes_folder
from audiocodec.training.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Sequence


def find_recipe(name_or_path: str | Path) -> Path:
    """The file itself, or the recipe of that name that comes with the package.

    Raises:
        ConfigError: there is neither; lists the recipes.
    """
    return find_shipped(name_or_path, recipes_folder(), "recipe")


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a recipe with `overrides` such as `data.batch_size=4`; it may extend one that comes along.

    Raises:
        ConfigError: there is none of that name, or it cannot be understood.
    """
    return load_config(TrainConfig, find_recipe(name_or_path), overrides, recipes_folder())
