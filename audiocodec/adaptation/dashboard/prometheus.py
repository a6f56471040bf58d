"""The latest state of monitor logs as metrics for Prometheus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiocodec.adaptation.dashboard.server import MetricsServer
from audiocodec.adaptation.dashboard.timeline import Window, parse_window
from audiocodec.adaptation.watch.alarm import STATES
from audiocodec.adaptation.watch.log import read_new
from audiocodec.errors import AudioCodecError, InputError, require
from audiocodec.outside import parse_time

if TYPE_CHECKING:
    from audiocodec.adaptation.registry import Registry

PREFIX = "audiocodec_"


class _LogCounts:
    """Counts of one log; every reading goes on where the one before ended."""

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0
        self.windows: dict[str, int] = dict.fromkeys([*map(str, STATES), "silent"], 0)
        self.seconds = 0.0
        self.last: Window | None = None
        self.judged: Window | None = None

    def read(self) -> None:
        for event, position in read_new(self.path, self.position):
            self.position = position
            window = parse_window(event) if event is not None and event["event"] == "window" else None
            if window is None:
                continue
            self.windows["silent" if window.silent else window.state] += 1
            self.seconds += window.seconds
            self.last = window
            if window.score is not None:
                self.judged = window


class WatchCollector:
    """A collector for prometheus_client: every scrape reads what was added to the logs."""

    def __init__(self, logs: Iterable[Path], registry: Registry | None = None) -> None:
        """Follow logs, which may not be there yet, and a store of codebooks."""
        self._counts, self._registry = [_LogCounts(Path(log)) for log in logs], registry
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Any]:
        """Metric families of prometheus_client."""
        families = _families()
        with self._lock:
            for counts in self._counts:
                try:
                    counts.read()
                except InputError:
                    continue  # not there yet, or gone: its metrics are missing, which an alert rule can tell
                _add(families, counts)
        yield from families.values()
        if self._registry is not None:
            yield _revisions(self._registry)


def serve_metrics(
    collector: WatchCollector,
    port: int,
    host: str = "127.0.0.1",
    clock: Callable[[], float] = time.monotonic,
) -> tuple[MetricsServer, threading.Thread]:
    """Answer scrapes at http://host:port/metrics in a thread; port 0 takes a free one.

    Returns the server, whose `shutdown` ends it and whose `server_port` is the port, and its thread. `clock`
    gives seconds; the server limits by it how long a client may take.

    Raises:
        InputError: the port cannot be opened.
        MissingPackageError: prometheus-client is not installed.
    """
    client = _client()
    registry = client.CollectorRegistry()
    registry.register(collector)
    try:
        server = MetricsServer(host, port, client.make_wsgi_app(registry), clock)
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} of {host} cannot be opened ({error}); choose another") from error
    return server, server.start()


def _families() -> dict[str, Any]:
    core = _client(".core")
    gauge, counter = core.GaugeMetricFamily, core.CounterMetricFamily
    described = {
        "state": (gauge, "State of the monitor: 0 ok, 1 warning, 2 alert.", ()),
        "score": (
            gauge,
            "Drift score of the last judged window, in spreads of the measures without drift.",
            (),
        ),
        "threshold": (gauge, "Threshold of the score, by level.", ("level",)),
        "measure": (gauge, "Drift measures of the last judged window.", ("measure",)),
        "stage_measure": (
            gauge,
            "Drift measures of the last judged window by quantizer, counted from 1.",
            ("measure", "stage"),
        ),
        "environment": (
            gauge,
            "1 for the environment that the last judged window resembles.",
            ("environment",),
        ),
        "codebook": (gauge, "1 for the codebooks in use.", ("codebook", "baseline")),
        "last_window_timestamp_seconds": (gauge, "When the last window was judged.", ()),
        "windows": (counter, "Windows by state.", ("state",)),
        "audio_seconds": (counter, "Audio monitored.", ()),
    }
    return {
        name: kind(f"{PREFIX}drift_{name}", text, labels=("log", *labels))
        for name, (kind, text, labels) in described.items()
    }


def _add(families: dict[str, Any], counts: _LogCounts) -> None:
    log, last, judged = counts.path.stem, counts.last, counts.judged
    for state, count in counts.windows.items():
        families["windows"].add_metric([log, state], count)
    families["audio_seconds"].add_metric([log], counts.seconds)
    if last is not None:
        families["state"].add_metric([log], STATES.index(last.state))
        families["codebook"].add_metric([log, last.codebook_id[:32], last.baseline], 1)
        moment = parse_time(last.time).timestamp()
        families["last_window_timestamp_seconds"].add_metric([log], moment)
    if judged is not None:
        families["score"].add_metric([log], judged.score)
        for level, value in (("warning", judged.warning), ("alert", judged.alert)):
            if value is not None:
                families["threshold"].add_metric([log, level], value)
        for name, value in judged.measures.items():
            families["measure"].add_metric([log, name], value)
        for name, values in judged.stages.items():
            for quantizer, value in enumerate(values, 1):
                families["stage_measure"].add_metric([log, name, str(quantizer)], value)
        if judged.environment:
            families["environment"].add_metric([log, judged.environment], 1)


def _revisions(registry: Registry) -> Any:
    """Number of revisions in the store, by status."""
    family = _client(".core").GaugeMetricFamily(
        f"{PREFIX}codebook_revisions", "Revisions of codebooks in the store.", labels=("status", "active")
    )
    counts: dict[tuple[str, str], int] = {}
    try:
        for revision in registry.revisions():
            key = (revision.status, str(revision.active).lower())
            counts[key] = counts.get(key, 0) + 1
    except AudioCodecError:
        return family  # a store that is not sound has no numbers
    for key, count in counts.items():
        family.add_metric(list(key), count)
    return family


def _client(part: str = "") -> Any:
    return require(f"prometheus_client{part}", "Prometheus", "'audiocodec[adapt]'")
