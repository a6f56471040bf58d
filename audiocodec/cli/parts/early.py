"""Checks of arguments that are made before a model is loaded, which takes seconds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from audiocodec import pretrained
from audiocodec.cli.parts.batch import missing
from audiocodec.cli.parts.output import Output, failure
from audiocodec.cli.parts.stores import open_store
from audiocodec.errors import BitrateError, InputError
from audiocodec.storage import already_there


def check_named(model: str | None = None, bitrate: float | None = None, store: Path | None = None) -> None:
    """Check that a model and a store exist, and that a bitrate is a positive number.

    Raises:
        RegistryError: there is no such model or store.
        BitrateError: the bitrate is no positive number.
    """
    if model is not None and not Path(model).exists() and model not in pretrained.models():
        pretrained.find(model)  # says what there is
    if bitrate is not None and not (math.isfinite(bitrate) and bitrate > 0):
        raise BitrateError(
            f"bitrate {bitrate:g} bit/s is not a positive number; choose one of the model's bitrates"
        )
    if store is not None:
        open_store(store)


def check_there(paths: Iterable[Path]) -> None:
    """Check that files and folders exist.

    Raises:
        InputError: one is not.
    """
    for path in paths:
        problem = missing(path)
        if problem is not None:
            raise problem


def check_new(path: Path, force: bool) -> None:
    """Check that a file may be written.

    Raises:
        InputError: it is there already, and `force` is not given.
    """
    if path.exists() and not force:
        raise already_there(path)


def end_if_none(inputs: Sequence[tuple[Path, InputError | None]], output: Output) -> None:
    """End the command and print the reasons, if none of the inputs can be used."""
    problems = [(source, problem) for source, problem in inputs if problem is not None]
    if len(problems) == len(inputs):
        for source, problem in problems:
            output.error(source, failure(problem, source))
        output.finish()
