"""Quantizers from the plain values of a recipe: a method's name, sizes, and flat options."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any, cast

from audiocodec.errors import ConfigError
from audiocodec.quantizers.multiscale import MultiScaleQuantizer
from audiocodec.quantizers.product import ProductQuantizer
from audiocodec.quantizers.registry import QUANTIZERS
from audiocodec.quantizers.residual import ResidualQuantizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audiocodec.quantizers.base import Quantizer

Option = float | int | str | bool


def build_method(dim: int, method: str, codebook_size: int, options: Mapping[str, Option]) -> Quantizer:
    """Build one quantizer; an option goes to the constructor or to the group of options that has it.

    Raises:
        ConfigError: the method or an option is unknown, or a value has a wrong type or range.
    """
    if method not in QUANTIZERS:
        raise ConfigError(f"method is {method!r}; choose one of {', '.join(sorted(QUANTIZERS))}")
    cls = QUANTIZERS[method]
    parameters = inspect.signature(cls.__init__).parameters
    allowed = {n: p.default for n, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    groups = {name: _defaults(cls, name) for name in cls.option_groups if allowed.pop(name, 0) is None}
    arguments: dict[str, Any] = {}
    for name, value in options.items():
        group = next((g for g, default in groups.items() if name in _field_names(default)), None)
        if group is not None:
            _check_type(method, name, value, getattr(groups[group], name))
            groups[group] = dataclasses.replace(groups[group], **{name: value})
        elif name in allowed:
            _check_type(method, name, value, allowed[name])
            arguments[name] = value
        else:
            known = sorted([*allowed, *(n for default in groups.values() for n in _field_names(default))])
            raise ConfigError(f"options.{name} is unknown to method {method!r}; it takes {', '.join(known)}")
    return cast(Any, cls)(dim, codebook_size, **arguments, **groups)


def build_stack(
    dim: int,
    method: str,
    codebook_size: int,
    num_quantizers: int,
    *,
    groups: int = 1,
    strides: Sequence[int] = (),
    search_width: int = 1,
    options: Mapping[str, Option] | None = None,
) -> Quantizer:
    """Build a residual stack of `num_quantizers` stages for latents of width `dim`.

    With `groups` above 1 each stage is a product over that many groups of channels; with `strides`, one a
    stage, stages code averages over so many frames. `search_width` is that of `ResidualQuantizer`, of use
    where all stages choose entries by distance.

    Raises:
        ConfigError: says which field, its value, and what is allowed.
    """
    if num_quantizers < 1:
        raise ConfigError(f"num_quantizers is {num_quantizers}; allowed are whole numbers from 1")
    if strides and len(strides) != num_quantizers:
        raise ConfigError(
            f"strides are {tuple(strides)}; give one for each of {num_quantizers} stages, or none"
        )
    options = dict(options or {})
    if method in QUANTIZERS and QUANTIZERS[method].builds_stack:
        if groups != 1 or strides:
            raise ConfigError(f"method {method!r} is a stack already; leave out groups and strides")
        return build_method(dim, method, codebook_size, {**options, "num_quantizers": num_quantizers})

    def stage() -> Quantizer:
        if groups == 1:
            return build_method(dim, method, codebook_size, options)
        return ProductQuantizer.split(
            dim, groups, lambda width: build_method(width, method, codebook_size, options)
        )

    stages = [stage() for _ in range(num_quantizers)]
    return MultiScaleQuantizer(stages, strides) if strides else ResidualQuantizer(stages, search_width)


def _defaults(cls: type[Quantizer], group: str) -> Any:
    return cast(Any, cls).default_parts if group == "parts" else cls.option_groups[group]()


def _field_names(group: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(group)]


def _check_type(method: str, name: str, value: Option, default: Option) -> None:
    kinds = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}[type(default)]
    if type(value) not in kinds:
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[type(default)]
        raise ConfigError(f"options.{name} of method {method!r} is {value!r}; expected {words}")
