"""Named acoustic conditions, read from YAML, which expands grids of them.

    conditions:
      clean: {}
      "{type}":                                         # street_20db, street_10db, cafe_20db, ...
        each: {type: [street, cafe], snr_db: [20, 10]}
        effects: [{kind: noise, types: ["{type}"], snr_db: "{snr_db}"}]

A condition is made for every combination of the values under `each`, which take the places of their names in
braces. Values that the name does not mention are appended to it. Under `type`, "*" stands for every type of
noise there is, and "*own" for those of the folder a user gave.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from audiocodec.config import find_shipped, load_config, recipes_folder
from audiocodec.effects import build_effect
from audiocodec.effects.environments import Environment, Scene
from audiocodec.effects.rooms import Room
from audiocodec.errors import AudioCodecError, ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.effects import Sources

Value = bool | int | float | str
Spec = dict[str, Any]

CLEAN = "clean"
AS_RECORDED = "as_recorded"
MAX_CONDITIONS = 10_000
"""The most that one grid may have: values under `each` multiply."""
ALL_TYPES, OWN_TYPES = "*", "*own"
_NAMES = re.compile(r"\{(\w+)\}")
_PROBE_RATE, _PROBE_SECONDS = 16000, 2


@dataclass(frozen=True)
class Condition:
    """What happens to a recording before it is encoded.

    Attributes:
        name: in tables.
        kind: its effects, such as noise or room_noise; clean without any.
        group: the name without the SNR: one curve over the SNR. It is the seed of all random choices, so that
            a file gets the same noise at every SNR.
        snr_db: signal-to-noise ratio while somebody speaks; None without noise.
        environment: the effects.
    """

    name: str
    kind: str = CLEAN
    group: str = CLEAN
    snr_db: float | None = None
    environment: Environment = field(default_factory=lambda: Environment(target="clean"))

    @property
    def pools(self) -> set[str]:
        """Kinds of recordings that it draws from: noise, music, speech, rir."""
        drawn = {"babble": "speech", "room": "rir"}
        kinds = {drawn.get(effect.kind, getattr(effect, "pool", "")) for effect in self.environment.effects}
        return kinds - {""}

    @property
    def wants_simulated_rooms(self) -> bool:
        """Whether it needs simulated room responses."""
        rooms = [effect for effect in self.environment.effects if isinstance(effect, Room)]
        return any(pattern.startswith("simulated") for room in rooms for pattern in room.types)

    @property
    def changes_nothing(self) -> bool:
        """Whether the recording stays as it is."""
        return not self.environment.effects

    def apply(
        self, wav: NDArray[np.float32], sample_rate: int, identity: str, sources: Sources, speaker: str
    ) -> Scene:
        """Degrade wav [L]; the same samples for the same `identity` of the recording, wherever it runs.

        Raises:
            InputError: the sources hold nothing that fits, or the condition is not defined for this sound.
            MissingPackageError: an effect needs a package that is not installed.
        """
        sources.unreadable.clear()  # what could not be read earlier must not change what is drawn now
        named = f"{self.group}\0{identity}".encode(errors="surrogateescape")
        seed = int.from_bytes(sha256(named).digest()[:16], "little")
        rng = np.random.default_rng(seed)
        drawn = self.environment.draw(rng, len(wav), sample_rate, sources, speaker)
        return self.environment.apply(wav, sample_rate, drawn, sources)


def as_recorded() -> Condition:
    """The one condition of recordings that have no clean original."""
    return Condition(AS_RECORDED, AS_RECORDED, AS_RECORDED)


@dataclass(frozen=True)
class Grid:
    """Conditions that differ by a few values.

    Attributes:
        each: values by name; there is one condition for each combination of them.
        effects: effects in the order in which they are applied; names of `each` stand in braces.
        kind: kind of the conditions in results; empty means the kinds of the effects.
    """

    each: dict[str, tuple[Value, ...]] = field(default_factory=dict[str, tuple[Value, ...]])
    effects: tuple[dict[str, Value | tuple[Value, ...]], ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class ConditionFile:
    """A file of conditions.

    Attributes:
        description: what it is for.
        conditions: grids by the pattern of their names.
    """

    description: str = ""
    conditions: dict[str, Grid] = field(default_factory=dict[str, Grid])


def conditions_folder() -> Path:
    """The conditions that come with the package."""
    return recipes_folder() / "conditions"


def read_conditions(
    name_or_path: str | Path, types: Sequence[str] = (), own_types: Sequence[str] = ()
) -> list[Condition]:
    """Read the conditions of a file, or of one that comes with the package; `types` of noise there are.

    Raises:
        ConfigError: the file is missing, empty or wrong; says where.
    """
    path = find_shipped(name_or_path, conditions_folder(), "conditions")
    grids = load_config(ConditionFile, path).conditions
    values = {ALL_TYPES: list(types), OWN_TYPES: list(own_types)}
    try:
        conditions = [condition for name, grid in grids.items() for condition in expand(name, grid, values)]
    except ConfigError as error:
        raise ConfigError(f"{path}: conditions.{error}") from error
    counts = Counter(condition.name for condition in conditions)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        raise ConfigError(f"{path}: two conditions are named {twice}; put what differs into the names")
    if not conditions:
        raise ConfigError(f"{path}: no condition; name at least one under `conditions:`, such as clean: {{}}")
    return conditions


def expand(name: str, grid: Grid, types: Mapping[str, Sequence[str]]) -> list[Condition]:
    """Every condition of a grid; `types` says what "*" stands for.

    Raises:
        ConfigError: a name in braces is not under `each`, or an effect is wrong.
    """
    conditions: list[Condition] = []
    columns = [_known(column, types) for column in grid.each.values()]
    if math.prod(map(len, columns)) > MAX_CONDITIONS:
        raise ConfigError(f"{name}: more than {MAX_CONDITIONS} combinations; list fewer values under `each`")
    for values in product(*columns):
        chosen = dict(zip(grid.each, values, strict=True))
        try:
            specs = [cast(Spec, _fill(dict(spec), chosen)) for spec in grid.effects]
            effects = tuple(build_effect(spec) for spec in specs)
            group, full = _name(name, chosen, without="snr_db"), _name(name, chosen)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
        kind = grid.kind or "_".join(str(spec["kind"]) for spec in specs) or CLEAN
        snrs = [spec["snr_db"] for spec in specs if isinstance(spec.get("snr_db"), int | float)]
        environment = Environment(full, target="clean", effects=cast(Any, effects))
        conditions.append(Condition(full, kind, group, float(snrs[0]) if snrs else None, environment))
    return conditions


def _known(column: Sequence[Value], types: Mapping[str, Sequence[str]]) -> list[Value]:
    listed = [value for entry in column for value in (types.get(str(entry), (entry,)))]
    return list(dict.fromkeys(listed))


def _fill(value: Any, chosen: Mapping[str, Value]) -> Any:
    """Replace names in braces by their values; a text that is only a name becomes the value itself."""
    if isinstance(value, dict):
        return {key: _fill(item, chosen) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, tuple | list):
        return tuple(_fill(item, chosen) for item in cast("Sequence[Any]", value))
    if not isinstance(value, str):
        return value
    if value[:1] == "{" and value[-1:] == "}" and value[1:-1] in chosen:
        return chosen[value[1:-1]]
    return _format(value, chosen)


def _format(text: str, chosen: Mapping[str, Value]) -> str:
    unknown = [name for name in _NAMES.findall(text) if name not in chosen]
    if unknown:
        known = ", ".join(chosen) or "none"
        raise ConfigError(f"{text!r}: {unknown[0]} in braces must stand under `each`, which has {known}")
    return _NAMES.sub(lambda match: _written(chosen[match[1]]), text)


def _name(pattern: str, chosen: Mapping[str, Value], without: str = "") -> str:
    left = {key: value for key, value in chosen.items() if key != without}
    said = [key for key in chosen if f"{{{key}}}" in pattern]
    name = _format(pattern.replace(f"_{{{without}}}db", "").replace(f"{{{without}}}", ""), chosen)
    parts = [f"{_written(value)}{_unit(key)}" for key, value in left.items() if key not in said]
    return "_".join([name, *parts])


def _written(value: Value) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _unit(key: str) -> str:
    return next((unit for unit in ("db", "hz", "kbps", "ms", "percent") if key.endswith(f"_{unit}")), "")


def runnable(
    conditions: Sequence[Condition], sources: Sources, show: Callable[[int], None] = lambda done: None
) -> tuple[list[Condition], dict[str, str]]:
    """Try each condition; gives those that can be made here, and for the others the reason.

    Raises:
        ConfigError: none can.
    """
    rng = np.random.default_rng(0)
    wav = (0.05 * rng.standard_normal(_PROBE_RATE * _PROBE_SECONDS)).astype(np.float32)
    able: list[Condition] = []
    skipped: dict[str, str] = {}
    for number, condition in enumerate(conditions, 1):
        try:
            condition.apply(wav, _PROBE_RATE, "probe", sources, "")
            able.append(condition)
        except AudioCodecError as error:
            skipped[condition.name] = str(error)
        show(number)
    if not able:
        name, reason = next(iter(skipped.items()))
        raise ConfigError(f"none of {len(skipped)} conditions can be made here; {name}: {reason}")
    return able, skipped


def find_conditions(
    wanted: Sequence[str | Condition], sources: Sources, own_noise: bool = False, has_clean: bool = True
) -> list[Condition]:
    """Conditions by their names, or by the names or paths of files of them.

    Raises:
        ConfigError: a name is not known; lists what there is.
    """
    if not has_clean and list(wanted) in ([], ["clean"]):
        return [as_recorded()]
    types = sources.types("noise")
    own = types if own_noise else []
    conditions: dict[str, Condition] = {}
    for entry in wanted:
        for condition in [entry] if isinstance(entry, Condition) else _by_name(entry, types, own):
            conditions.setdefault(condition.name, condition)
    return list(conditions.values())


def _by_name(name: str, types: Sequence[str], own_types: Sequence[str]) -> list[Condition]:
    sets = sorted(path.stem for path in conditions_folder().glob("*.yaml"))
    if name in sets or Path(name).is_file():
        return read_conditions(name, types, own_types)
    known = {one.name: one for one in read_conditions("full", types, own_types)}
    if name not in known:
        raise ConfigError(
            f"{name}: no such file or condition; name a YAML file, one of {', '.join(sets)},"
            f" or a condition of full: {', '.join(known)}"
        )
    return [known[name]]
