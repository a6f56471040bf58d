"""Packages that only some scores need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from audiocodec.errors import MissingPackageError


def require(module: str, what: str, install: str) -> Any:
    """Import a module that may not be there.

    Raises:
        MissingPackageError: it is not installed, or something it needs is not; says what to install.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingPackageError(f"{what} cannot be computed ({error}): pip install {install}") from error
