"""Strict YAML to frozen dataclasses and back: an unknown key or a wrong type is an error naming its place."""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
import re
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, cast

import yaml

from audiocodec.errors import ConfigError, InputError
from audiocodec.outside import MALFORMED, read_bytes
from audiocodec.storage import real

T = TypeVar("T")

MAX_FILE_BYTES = 256 * 1024  # a recipe is a page or two
MAX_EXTENDS = 8
SUFFIX = ".yaml"


def load_config(
    cls: type[T],
    path: str | Path,
    overrides: Sequence[str] = (),
    shipped: Path | None = None,
    extend: bool = True,
) -> T:
    """Read a YAML file into `cls`, following `extends: other.yaml` and applying `a.b=3` overrides last.

    What is extended lies in the folder of the file that names it or below, or else in the folder `shipped`.
    A mapping that changes the `kind` of the one it extends replaces it; other mappings merge key by key.
    A file that is not a person's own, such as that of a model, should not `extend`.

    Raises:
        ConfigError: names the file and the dotted path of what is wrong.
    """
    mapping = _read_extended(Path(path), (), shipped) if extend else _read_mapping(Path(path))
    for override in overrides:
        mapping = _merge(mapping, _parse_override(override))
    try:
        return from_mapping(cls, mapping)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


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


def from_mapping(cls: type[T], mapping: Mapping[str, Any]) -> T:
    """Build the dataclass `cls` from plain values, refusing whatever it does not declare.

    Raises:
        ConfigError: names the dotted path of what is wrong, and the nearest known key.
    """
    return cast(T, _build(cls, mapping, ""))


def to_mapping(obj: Any) -> dict[str, Any]:
    """Turn a dataclass into plain dictionaries, lists and scalars; `from_mapping` reads them back."""
    return {field.name: _plain(getattr(obj, field.name)) for field in dataclasses.fields(obj) if field.init}


def dump_yaml(obj: Any) -> str:
    """Write a dataclass as YAML, keys in the order of its fields."""
    return yaml.safe_dump(to_mapping(obj), sort_keys=False, allow_unicode=True, width=100)


def check_names(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse a name of field `what` that is not in `known`.

    Raises:
        ConfigError: gives the wrong name, the nearest known one and all known names.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"{what} names {name!r}; {hint}known are {', '.join(sorted(known)) or 'none'}")


def check_least(**numbers: tuple[float, float]) -> None:
    """Refuse numbers below their least value, given as name=(number, least).

    Raises:
        ConfigError: gives the number and its least value.
    """
    for name, (number, least) in numbers.items():
        if number < least:
            raise ConfigError(f"{name} is {number:g}; give {least:g} or more")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[Any]", value)]
    return value


class _Loader(yaml.SafeLoader):
    """YAML without aliases (they can grow to any size), with duplicate keys refused and `1e-4` a number."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ConfigError("YAML aliases (*name) are not read; repeat the value or use `extends:`")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        seen: set[str] = set()
        for key in keys:
            if not isinstance(key, str):
                raise ConfigError(f"the key {key!r} is not text; put it in quotes")
            if key in seen:
                raise ConfigError(f"the key {key!r} is given twice; keep one")
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot in a number with an exponent: without this line `1e-4` would be text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{where}: nested too deeply") from error
    except (yaml.YAMLError, *MALFORMED) as error:
        raise ConfigError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error


def _read_mapping(path: Path) -> dict[str, Any]:
    try:
        text = read_bytes(path, MAX_FILE_BYTES).decode("utf-8")
    except InputError as error:
        raise ConfigError(f"{error}; give the path of a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text; give the path of a YAML file") from error
    mapping = _parse_yaml(text, str(path))
    if mapping is None:
        return {}
    if not isinstance(mapping, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, found {_describe(mapping)}")
    return cast("dict[str, Any]", mapping)


def _read_extended(path: Path, seen: tuple[Path, ...], shipped: Path | None) -> dict[str, Any]:
    if real(path) in seen:
        raise ConfigError(f"{path}: `extends` goes round in a circle: {' -> '.join(p.name for p in seen)}")
    if len(seen) >= MAX_EXTENDS:
        raise ConfigError(f"{path}: more than {MAX_EXTENDS} files extend each other; shorten the chain")
    mapping = _read_mapping(path)
    base = mapping.pop("extends", None)
    if base is None:
        return mapping
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends: expected a file name, found {_describe(base)}")
    extended = _extended(path, base, shipped)
    return _merge(_read_extended(extended, (*seen, real(path)), shipped), mapping)


def _extended(path: Path, base: str, shipped: Path | None) -> Path:
    """The file that one extends; a recipe from elsewhere must not show what else lies on this machine."""
    beside, folder = path.parent / base, real(path).parent
    if shipped is not None and not os.path.exists(beside):
        beside, folder = shipped / base, real(shipped)
    if not real(beside).is_relative_to(folder):
        raise ConfigError(f"{path}: extends {base!r}, which lies elsewhere; copy it into the same folder")
    return beside


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            old, value = cast("dict[str, Any]", old), cast("dict[str, Any]", value)
            other_kind = "kind" in value and value["kind"] != old.get("kind", value["kind"])
            merged[key] = value if other_kind else _merge(old, value)
        else:
            merged[key] = value
    return merged


def _parse_override(override: str) -> dict[str, Any]:
    name, separator, text = override.partition("=")
    keys = name.strip().split(".")
    if not separator or not all(keys):
        raise ConfigError(f"override {override!r}: write it as key=value or part.key=value")
    value = _parse_yaml(text, f"override {override!r}")
    for key in reversed(keys):
        value = {key: value}
    return value


def _describe(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return "nothing" if value is None else f"{value!r} ({type(value).__name__})"


def _error(where: str, message: str) -> ConfigError:
    return ConfigError(f"{where}: {message}" if where else message)


def _mismatch(where: str, expected: str, value: Any) -> ConfigError:
    return _error(where, f"expected {expected}, found {_describe(value)}")


def _unknown_key(cls: type, key: Any, known: Sequence[str], where: str) -> ConfigError:
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return _error(f"{where}.{key}" if where else str(key), f"unknown key of {cls.__name__}; {hint}")


def _build(cls: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _mismatch(where, "a mapping", value)
    mapping = cast("Mapping[Any, Any]", value)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    hints = typing.get_type_hints(cls)
    for key in mapping:
        if key not in fields:
            raise _unknown_key(cls, key, list(fields), where)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in mapping:
            raise _error(f"{where}.{name}" if where else name, "missing; it has no default")
    arguments = {
        name: _convert(hints[name], item, f"{where}.{name}" if where else name)
        for name, item in mapping.items()
    }
    try:
        return cls(**arguments)
    except ValueError as error:  # checks of the dataclass itself
        raise _error(where, str(error)) from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, where)
    if origin is Literal:
        choices = typing.get_args(hint)
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise _mismatch(where, f"one of {', '.join(map(repr, choices))}", value)
        return value
    if origin is tuple:
        return _convert_tuple(typing.get_args(hint), value, where)
    if origin is dict:
        return _convert_dict(typing.get_args(hint), value, where)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)
    return _convert_scalar(hint, value, where)


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _mismatch(where, "a finite number", value)
        return number
    if hint in (int, bool, str):
        if type(value) is not hint:
            names = {int: "a whole number", bool: "true or false", str: "text"}
            raise _mismatch(where, names[hint], value)
        return value
    if hint is float:
        raise _mismatch(where, "a number", value)
    raise TypeError(f"{where}: a configuration field cannot have the type {hint!r}")


def _convert_tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _mismatch(where, "a list", value)
    items = cast("Sequence[Any]", value)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = (arguments[0],) * len(items)
    if len(items) != len(arguments):
        raise _error(where, f"expected {len(arguments)} entries, found {len(items)}")
    return tuple(
        _convert(hint, item, f"{where}[{i}]")
        for i, (hint, item) in enumerate(zip(arguments, items, strict=True))
    )


def _convert_dict(arguments: tuple[Any, ...], value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _mismatch(where, "a mapping", value)
    items = cast("Mapping[Any, Any]", value).items()
    return {
        _convert(arguments[0], key, where): _convert(arguments[1], item, f"{where}.{key}")
        for key, item in items
    }


def _convert_union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in members:
        return None
    members = tuple(member for member in members if member is not type(None))
    if len(members) == 1:
        return _convert(members[0], value, where)
    if all(dataclasses.is_dataclass(member) for member in members):
        return _build_kind(members, value, where)
    if type(value) in members:  # 3 stays an int in `int | float`
        return _convert(type(value), value, where)
    for member in members:
        try:
            return _convert(member, value, where)
        except ConfigError:
            continue
    names = ", ".join(getattr(member, "__name__", str(member)) for member in members)
    raise _mismatch(where, f"one of {names}", value)


def _build_kind(members: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _mismatch(where, "a mapping", value)
    kinds = {
        kind: member for member in members for kind in typing.get_args(typing.get_type_hints(member)["kind"])
    }
    kind = cast("Mapping[str, Any]", value).get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise _mismatch(f"{where}.kind", f"one of {', '.join(map(repr, kinds))}", kind)
    return _build(kinds[kind], value, where)
