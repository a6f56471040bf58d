"""Every codec at every bitrate under every condition: which rows there are, and computing those not done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocodec.audio import stamp
from audiocodec.errors import BitrateError, InputError
from audiocodec.evaluation.coders import Coder, ModelCoder
from audiocodec.evaluation.conditions import Condition, as_recorded, runnable
from audiocodec.evaluation.peers import Peer
from audiocodec.evaluation.rows import Row, open_rows, row_key
from audiocodec.evaluation.schedule import Schedule
from audiocodec.evaluation.tasks import Setup, Unit
from audiocodec.work import Backend

if TYPE_CHECKING:
    from audiocodec.corpus import Recording

USUAL_BITRATES = (1500.0, 3000.0, 6000.0)

RowPlace = tuple["Recording", Condition, int, float]
Show = Callable[[int], None]
"""Takes the number of rows that are done."""


@dataclass(frozen=True)
class Benchmark:
    """The rows to compute.

    Attributes:
        setup: what all units share.
        units: one for each recording under each condition.
        keys: identity of each row, by recording, condition, number of the codec and bitrate.
        skipped: codecs and conditions that cannot be run here, with the reason.
    """

    setup: Setup
    units: tuple[Unit, ...]
    keys: dict[RowPlace, str]
    skipped: dict[str, str] = field(default_factory=dict[str, str])

    def __len__(self) -> int:
        """Rows there will be."""
        return len(self.keys)

    def run(self, backend: Backend, folder: Path | None = None, show: Show = lambda done: None) -> list[Row]:
        """Compute all rows, and give them in order; `show` gets the number of rows that are done.

        With a `folder`, rows are written there as they come, and those of an earlier run with the same
        configuration are taken from there. Rows that failed are computed again.
        """
        with open_rows(folder) if folder else nullcontext((dict[str, Row](), _keep_nothing)) as (kept, keep):
            rows = {key: kept[key] for key in self.keys.values() if key in kept and "error" not in kept[key]}

            def record(unit: Unit, unit_rows: Sequence[Row]) -> None:
                for work, row in zip(unit.work, unit_rows, strict=True):
                    key = self.keys[unit.recording, unit.condition, *work]
                    rows[key] = row
                    keep(key, row)
                show(len(rows))

            show(len(rows))
            Schedule(self.setup, self._left(rows), record).run(backend)
            return [rows[key] for key in self.keys.values()]

    def _left(self, rows: dict[str, Row]) -> list[Unit]:
        """Units with the part of their work that is not done; long recordings come first."""
        left = [
            replace(
                unit,
                work=tuple(
                    one for one in unit.work if self.keys[unit.recording, unit.condition, *one] not in rows
                ),
            )
            for unit in self.units
        ]
        return sorted((unit for unit in left if unit.work), key=lambda unit: -stamp(unit.recording.path)[0])


def _keep_nothing(key: str, row: Row) -> None:
    pass


def plan(
    setup: Setup,
    recordings: Sequence[Recording],
    conditions: Sequence[Condition],
    bitrates: Sequence[float] = (),
    show: Show = lambda done: None,
) -> Benchmark:
    """Decide on all rows; conditions that cannot be made here are left out, with the reason.

    Raises:
        InputError: no recording, or two have one name; a BitrateError, when a model has no such bitrate.
        ConfigError: no condition can be made here.
    """
    if not recordings:
        raise InputError("no recordings to evaluate; give some files, a folder or a manifest")
    names = [recording.name for recording in recordings]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{twice} is listed twice; give each recording once")
    if not setup.has_clean and not conditions:
        conditions = [as_recorded()]
    conditions, skipped = runnable(conditions, setup.sources, show)
    work = _work(setup.coders, bitrates)
    units = tuple(Unit(recording, condition, work) for recording in recordings for condition in conditions)
    keys = dict(_keys(setup, units))
    return Benchmark(setup, units, keys, skipped)


def with_own_names(coders: Iterable[Coder]) -> tuple[Coder, ...]:
    """The same codecs; models with the same name get a label with their source.

    Raises:
        AudioCodecError: a model cannot be loaded, or another codec is given twice.
    """
    named: list[Coder] = []
    for coder in coders:
        if any(coder.name == other.name for other in named):
            if not isinstance(coder, ModelCoder):
                raise InputError(
                    f"the codec {coder.name} is given twice; give it once, with all its bitrates"
                )
            source = coder.source if isinstance(coder.source, str) else coder.codec.model_id[:8]
            coder.label = f"{coder.name} ({source})"
        named.append(coder)
    return tuple(named)


def usual_bitrates(codec_bitrates: Sequence[float]) -> tuple[float, ...]:
    """Those of USUAL_BITRATES that a ladder has; its highest bitrate if it has none of them."""
    return tuple(rate for rate in USUAL_BITRATES if rate in codec_bitrates) or (codec_bitrates[-1],)


def _work(coders: Sequence[Coder], bitrates: Sequence[float]) -> tuple[tuple[int, float], ...]:
    ladders = [coder.codec.bitrates for coder in coders if isinstance(coder, ModelCoder)]
    requested = tuple(bitrates) or tuple(
        sorted({rate for ladder in ladders for rate in usual_bitrates(ladder)})
    )
    work: list[tuple[int, float]] = []
    for number, coder in enumerate(coders):
        own = requested
        if not bitrates and isinstance(coder, ModelCoder):
            own = usual_bitrates(coder.codec.bitrates)
        try:
            work += [(number, rate) for rate in coder.bitrates_near(own)]
        except BitrateError as error:
            raise BitrateError(f"{coder.name}: {error}") from error
    if not work:
        raise InputError("no codec to evaluate; name a model, or a peer that is installed")
    return tuple(work)


def _keys(setup: Setup, units: Sequence[Unit]) -> Iterable[tuple[RowPlace, str]]:
    clips: dict[str, list[tuple[str | int, ...]]] = {}
    for clip in setup.sources.recordings:
        clips.setdefault(clip.kind, []).append((clip.type, clip.name, clip.speaker, *stamp(clip.path)))
    pools = {kind: row_key(stamps) for kind, stamps in clips.items()}
    shared = {
        "version": version("audiocodec"),
        "metrics": sorted(metric.name + metric.setting for metric in setup.metrics),
        "has_clean": setup.has_clean,
        "limit_seconds": setup.limit_seconds,
    }
    coders = [
        {
            "name": coder.name,
            **coder.identity,
            **({"files": coder.fingerprint()} if isinstance(coder, Peer) else {}),
        }
        for coder in setup.coders
    ]
    for unit in units:
        condition = unit.condition
        facts: dict[str, Any] = {
            **shared,
            "file": [unit.recording.name, *stamp(unit.recording.path)],
            "people": [unit.recording.speaker, unit.recording.language, unit.recording.source],
            "condition": [
                condition.name,
                condition.kind,
                condition.group,
                repr(condition.environment.effects),
            ],
            "clips": {kind: pools.get(kind, "") for kind in condition.pools},
        }
        for coder, bitrate in unit.work:
            key = row_key({**facts, "coder": coders[coder], "bitrate": bitrate})
            yield (unit.recording, condition, coder, bitrate), key
