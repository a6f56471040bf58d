"""The recipes that come with the package, found by name."""

from __future__ import annotations

from pathlib import Path

from audiocodec.errors import ConfigError

SUFFIX = ".yaml"


def recipes_folder() -> Path:
    """Where the recipes lie: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def find_recipe(name_or_path: str | Path, root: Path | None = None) -> Path:
    """The file itself, or the recipe of that name that comes with the package.

    Raises:
        ConfigError: there is neither; lists the recipes.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = {file.stem: file for file in sorted((root or recipes_folder()).glob(f"*{SUFFIX}"))}
    if path.name == str(name_or_path) and path.name.removesuffix(SUFFIX) in known:
        return known[path.name.removesuffix(SUFFIX)]
    raise ConfigError(
        f"{name_or_path}: no such recipe; name a YAML file or one of {', '.join(known) or 'none'}"
    )
