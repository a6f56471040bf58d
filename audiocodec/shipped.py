"""YAML files that come with the package, found by name: recipes, conditions."""

from __future__ import annotations

from pathlib import Path

from audiocodec.errors import ConfigError

SUFFIX = ".yaml"


def recipes_folder() -> Path:
    """Where they lie: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def find_shipped(name_or_path: str | Path, folder: Path, what: str) -> Path:
    """The file itself, or the one of that name in `folder`; `what` it is goes into the message.

    Raises:
        ConfigError: there is neither; lists what there is.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = {file.stem: file for file in sorted(folder.glob(f"*{SUFFIX}"))}
    if path.name == str(name_or_path) and path.name.removesuffix(SUFFIX) in known:
        return known[path.name.removesuffix(SUFFIX)]
    raise ConfigError(
        f"{name_or_path}: no such {what}; name a YAML file or one of {', '.join(known) or 'none'}"
    )
