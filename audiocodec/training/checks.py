"""Checks that the parts of a recipe share."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


def check_names(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse a name that is not known, naming the nearest one that is.

    Raises:
        ConfigError: says which name, the nearest one and all there are.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"{what} names {name!r}; {hint}known are {', '.join(sorted(known)) or 'none'}")


def check_least(**numbers: tuple[float, float]) -> None:
    """Refuse numbers below their least value, given as name=(number, least).

    Raises:
        ConfigError: says which number and what is allowed.
    """
    for name, (number, least) in numbers.items():
        if number < least:
            raise ConfigError(f"{name} is {number:g}; give {least:g} or more")
