"""Windows of the monitor's logs and events of a store, in order of time, few enough to be drawn."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from audiocodec.adaptation.watch.alarm import STATES
from audiocodec.adaptation.watch.log import read_log
from audiocodec.errors import InputError
from audiocodec.outside import MALFORMED

if TYPE_CHECKING:
    from audiocodec.adaptation.registry import Registry

MAX_COLUMNS = 600
"""More windows than that are drawn several to a column."""
MAX_WINDOWS = 1_000_000
MAX_STAGES = 1024
LARGEST = 1e12
"""A window with a larger number is left out."""


@dataclass(frozen=True)
class Window:
    """One window, or several that are drawn as one: then means, but the worst state and score.

    Attributes:
        time: when it was judged, ISO 8601.
        seconds: length of its audio.
        state: state of the monitor, one of STATES.
        silent: whether there was too little sound to judge it.
        score: drift in one number; None in silence.
        warning: threshold of the score.
        alert: threshold of the score.
        decisive: name of the measure that decided the score.
        measures: name -> value over all quantizers.
        stages: name -> one value a quantizer.
        environment: name of the recognized environment, "unknown", or "" where none was looked for.
        sources: names of its audio files.
        codebook_id: codebook in use.
        baseline: name of the statistics it was compared with.
    """

    time: str
    seconds: float
    state: str
    silent: bool
    score: float | None
    warning: float | None
    alert: float | None
    decisive: str
    measures: Mapping[str, float]
    stages: Mapping[str, Sequence[float]]
    environment: str
    sources: tuple[str, ...]
    codebook_id: str
    baseline: str

    @property
    def in_alert(self) -> bool:
        """Whether it was judged, and the monitor was in alert."""
        return self.state == "alert" and not self.silent


@dataclass(frozen=True)
class CodebookEvent:
    """An event in the log of a store of codebooks.

    Attributes:
        time: ISO 8601.
        kind: activate, rollback, publish, refuse, ...
        codebook_id: the codebook it is about.
        text: the reason given.
        position: number of the first window judged after it.
    """

    time: str
    kind: str
    codebook_id: str
    text: str
    position: int

    @property
    def changes_codebook(self) -> bool:
        """Whether another codebook came into use."""
        return self.kind in ("activate", "rollback")


@dataclass(frozen=True)
class Timeline:
    """Windows of one or several logs, and the events of a store, both in order of time.

    Attributes:
        windows: few enough to be drawn.
        events: events of the store.
        total: number of windows in the logs.
        alerts: number of them in alert.
        seconds: length of all audio.
    """

    windows: tuple[Window, ...]
    events: tuple[CodebookEvent, ...]
    total: int
    alerts: int
    seconds: float


def read_timeline(
    logs: Iterable[str | os.PathLike[str]], registry: Registry | None = None, columns: int = MAX_COLUMNS
) -> Timeline:
    """Read logs, and the events of a store.

    Raises:
        InputError: a log cannot be read, or none has a window.
        RegistryError: the log of the store is not sound.
    """
    listed = [Path(log) for log in logs]
    windows = [window for log in listed for window in read_windows(log)]
    if not windows:
        names = ", ".join(str(log) for log in listed) or "no log"
        raise InputError(f"{names}: no window; run audiocodec monitor with --log or --store first")
    windows.sort(key=lambda window: window.time)
    size = -(-len(windows) // columns)
    drawn = [_together(windows[i : i + size]) for i in range(0, len(windows), size)]
    return Timeline(
        tuple(drawn),
        tuple(_codebook_events(registry, drawn)) if registry else (),
        len(windows),
        sum(window.in_alert for window in windows),
        sum(window.seconds for window in windows),
    )


def read_windows(log: Path) -> list[Window]:
    """Windows of one log.

    Raises:
        InputError: it cannot be read, or is far too long.
    """
    windows: list[Window] = []
    for event in read_log(log):
        if event["event"] == "window":
            window = parse_window(event)
            if window is not None:
                windows.append(window)
        if len(windows) > MAX_WINDOWS:
            raise InputError(f"{log}: more than {MAX_WINDOWS} windows; cut the log into parts")
    return windows


def parse_window(event: Mapping[str, Any]) -> Window | None:
    """A window out of a line of a log, or None if it is none."""
    try:
        environment = cast("Mapping[str, Any] | None", event.get("environment"))
        stages = cast("Mapping[str, Sequence[float]]", event.get("stages") or {})
        return Window(
            time=str(event["time"]),
            seconds=max(0.0, _number(event["end_seconds"]) - _number(event["start_seconds"])),
            state=STATES[STATES.index(event["state"])],
            silent=bool(event["silent"]),
            score=_maybe(event.get("score")),
            warning=_maybe(event.get("warning_threshold")),
            alert=_maybe(event.get("alert_threshold")),
            decisive=str(event.get("decisive") or ""),
            measures=_numbers(event.get("measures") or {}),
            stages={str(name): _stages(values) for name, values in stages.items()},
            environment="" if environment is None else str(environment.get("name") or "unknown"),
            sources=tuple(str(source) for source in event.get("sources") or ()),
            codebook_id=str(event.get("codebook_id", "")),
            baseline=str(event.get("baseline", "")),
        )
    except MALFORMED:
        return None


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): _number(value) for name, value in values.items() if value is not None}


def _stages(values: Sequence[Any]) -> list[float]:
    if len(values) > MAX_STAGES:
        raise ValueError(f"{len(values)} stages")
    return [_number(value) for value in values]


def _maybe(value: Any) -> float | None:
    return None if value is None else _number(value)


def _number(value: Any) -> float:
    number = float(value)
    if not abs(number) <= LARGEST:
        raise ValueError(f"{number} cannot be drawn")
    return number


def _together(windows: Sequence[Window]) -> Window:
    """Several windows as one."""
    if len(windows) == 1:
        return windows[0]
    judged = [window for window in windows if not window.silent] or list(windows)
    worst = max(judged, key=lambda window: (STATES.index(window.state), window.score or 0.0))
    names = {name for window in judged for name in window.measures}
    means = {
        name: float(np.mean([window.measures[name] for window in judged if name in window.measures]))
        for name in sorted(names)
    }
    return replace(
        worst,
        time=windows[-1].time,
        seconds=sum(window.seconds for window in windows),
        measures=means,
        sources=tuple(dict.fromkeys(source for window in windows for source in window.sources)),
    )


def _codebook_events(registry: Registry, windows: Sequence[Window]) -> list[CodebookEvent]:
    events: list[CodebookEvent] = []
    for event in registry.log():
        details = event.details
        provenance = cast("Mapping[str, Any]", details.get("provenance") or {})
        text = str(details.get("reason") or provenance.get("reason") or "")
        position = sum(_moment(window.time) < _moment(event.time) for window in windows)
        events.append(CodebookEvent(event.time, event.kind, event.codebook_id, text, position))
    return events


def _moment(time: str) -> str:
    """Comparable as text to the second: both are written in UTC, one with Z and one with +00:00."""
    return time[:19]
