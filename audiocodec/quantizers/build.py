"""Quantizers from the plain values of a recipe: a method's name, sizes, and flat options."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from audiocodec.errors import ConfigError
from audiocodec.quantizers.affine import AffineVectorQuantizer
from audiocodec.quantizers.base import Quantizer
from audiocodec.quantizers.ema import EMAVectorQuantizer
from audiocodec.quantizers.factorized import FactorizedVectorQuantizer
from audiocodec.quantizers.fsq import FiniteScalarQuantizer
from audiocodec.quantizers.gumbel import GumbelQuantizer
from audiocodec.quantizers.lfq import LookupFreeQuantizer
from audiocodec.quantizers.multiscale import MultiScaleQuantizer
from audiocodec.quantizers.nsvq import NonStationaryVectorQuantizer
from audiocodec.quantizers.product import ProductQuantizer
from audiocodec.quantizers.residual import ResidualQuantizer
from audiocodec.quantizers.residual_fsq import ResidualFiniteScalarQuantizer
from audiocodec.quantizers.simvq import SimVectorQuantizer
from audiocodec.quantizers.transvq import TransVectorQuantizer
from audiocodec.quantizers.vector import OnlineVectorQuantizer, VectorQuantizer
from audiocodec.quantizers.wasserstein import WassersteinVectorQuantizer

QUANTIZERS: dict[str, type[Quantizer]] = {
    "affine": AffineVectorQuantizer,
    "ema": EMAVectorQuantizer,
    "factorized": FactorizedVectorQuantizer,
    "fsq": FiniteScalarQuantizer,
    "gumbel": GumbelQuantizer,
    "lfq": LookupFreeQuantizer,
    "nsvq": NonStationaryVectorQuantizer,
    "online": OnlineVectorQuantizer,
    "residual_fsq": ResidualFiniteScalarQuantizer,
    "simvq": SimVectorQuantizer,
    "transvq": TransVectorQuantizer,
    "vector": VectorQuantizer,
    "wasserstein": WassersteinVectorQuantizer,
}
"""The names by which recipes ask for a quantization method."""

Option = float | int | str | bool
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class QuantizerConfig:
    """A residual stack of one method.

    Attributes:
        method: name of the method of every stage, such as "ema" or "fsq"; `QUANTIZERS` has all names.
        num_quantizers: number of stages.
        codebook_size: number of entries of each codebook.
        groups: number of groups of channels in every stage; each group has its own codebook.
        strides: number of frames that share a code, for each stage, such as [4, 2, 1]; empty for one code
            per frame in every stage.
        search_width: number of candidate paths that the search for the codes keeps (beam search), for methods
            that choose the nearest entry; 4 leaves about a tenth less error than 1 and takes four times the
            time in the quantizer, which is small beside the nets.
        options: further arguments of the method, such as `ema_decay`, `estimator` or `dead_codes`.
    """

    method: str = "ema"
    num_quantizers: int = 16
    codebook_size: int = 1024
    groups: int = 1
    strides: tuple[int, ...] = ()
    search_width: int = 4
    options: dict[str, float | int | str | bool] = field(default_factory=dict)


def build_quantizer(config: QuantizerConfig, dim: int) -> Quantizer:
    """Build the residual stack that `config` describes for latents of width `dim`.

    Raises:
        ConfigError: says which field, its value, and what is allowed.
    """
    try:
        return _build_stack(config, dim)
    except ConfigError as error:
        raise ConfigError(f"quantizer: {error}") from error


def build_method(dim: int, method: str, codebook_size: int, options: Mapping[str, Option]) -> Quantizer:
    """Build one quantizer; an option goes to the constructor or to the group of options that has it.

    Raises:
        ConfigError: the method or an option is unknown, or a value has a wrong type or range.
    """
    if method not in QUANTIZERS:
        raise ConfigError(f"method is {method!r}; choose one of {', '.join(sorted(QUANTIZERS))}")
    cls = QUANTIZERS[method]
    parameters = inspect.signature(cls.__init__).parameters
    defaults = {name: p.default for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    groups = {name: group for name, group in cls.option_groups.items() if defaults.pop(name, 0) is None}
    places = {option.name: name for name, group in groups.items() for option in dataclasses.fields(group)}
    arguments: dict[str, Any] = {}
    for name, value in options.items():
        if name in places:
            place = places[name]
            _check_type(method, name, value, getattr(groups[place], name))
            groups[place] = dataclasses.replace(groups[place], **{name: value})
        elif name in defaults:
            _check_type(method, name, value, defaults[name])
            arguments[name] = value
        else:
            known = ", ".join(sorted([*defaults, *places]))
            raise ConfigError(f"options.{name} is unknown to method {method!r}; it takes {known}")
    return cast(Any, cls)(dim, codebook_size, **arguments, **groups)


def _build_stack(config: QuantizerConfig, dim: int) -> Quantizer:
    method, size, options = config.method, config.codebook_size, dict(config.options)
    number, groups, strides = config.num_quantizers, config.groups, config.strides
    if number < 1:
        raise ConfigError(f"num_quantizers is {number}; allowed are whole numbers from 1")
    if method in QUANTIZERS and QUANTIZERS[method].builds_stack:
        if groups != 1 or strides:
            raise ConfigError(f"method {method!r} is a stack already; leave out groups and strides")
        return build_method(dim, method, size, {**options, "num_quantizers": number})
    if strides and len(strides) != number:
        raise ConfigError(f"strides are {tuple(strides)}; give one for each of {number} stages, or none")

    def leaf(width: int) -> Quantizer:
        return build_method(width, method, size, options)

    stages = [leaf(dim) if groups == 1 else ProductQuantizer.split(dim, groups, leaf) for _ in range(number)]
    return MultiScaleQuantizer(stages, strides) if strides else ResidualQuantizer(stages, config.search_width)


def _check_type(method: str, name: str, value: Option, default: Option) -> None:
    kind = type(default)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ConfigError(f"options.{name} of method {method!r} is {value!r}; expected {_TYPE_NAMES[kind]}")
