"""What a report looks up in a summary again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from audiocodec.evaluation.report.text import kilobits, metric_and_reference
from audiocodec.evaluation.score_table import ALL, CLEAN, DEGRADED

Entry = dict[str, Any]
Point = tuple[str, float]


class Facts:
    """A summary, as `summarize` makes it, with its entries by name.

    Attributes:
        summary: all of it.
        codecs: names, models before peers.
        points: codecs and nominal bitrates in the order of tables.
        scopes: wide scopes there are, with their titles: clean speech first.
        known: names of all scopes, single conditions too.
        uncounted: codecs that do not say how many bits they used.
        imitated: metrics that losses of a codec imitate, by its name; only codecs with some.
    """

    def __init__(self, summary: Entry, meta: Entry | None = None) -> None:
        """`meta` of the run says which scores flatter a codec."""
        self.summary = summary
        about = (meta or {}).get("codecs", [])
        self.imitated: dict[str, list[str]] = {
            one["name"]: one["imitates"] for one in about if one.get("imitates")
        }
        found: dict[str, Entry] = summary["codecs"]
        self.codecs = sorted(found, key=lambda name: found[name]["peer"])
        self.models = [name for name in self.codecs if not found[name]["peer"]]
        self.points: list[Point] = [
            (codec, point["nominal_bitrate"]) for codec in self.codecs for point in found[codec]["points"]
        ]
        self._measured = {
            (codec, point["nominal_bitrate"]): point["bitrate"]
            for codec in self.codecs
            for point in found[codec]["points"]
        }
        self._assumed = {
            (codec, point["nominal_bitrate"])
            for codec in self.codecs
            for point in found[codec]["points"]
            if point["nominal_bits"]
        }
        self.uncounted = [name for name in self.codecs if any(name == codec for codec, _ in self._assumed)]
        self._means = {
            (entry["scope"], entry["codec"], entry["nominal_bitrate"]): entry for entry in summary["means"]
        }
        self.known = {entry["scope"] for entry in summary["means"]}
        names = {condition["name"] for condition in summary["conditions"]}
        others = len(names - {CLEAN})
        self.scopes: dict[str, str] = {}
        if CLEAN in names:
            self.scopes[CLEAN] = "Clean speech"
        if DEGRADED in summary["uncoded"]:
            self.scopes[DEGRADED] = f"Mean of {others} other condition{'s' if others > 1 else ''}"
        if not self.scopes:
            self.scopes[ALL] = f"Mean of {others} conditions" if others > 1 else "All recordings"

    def color(self, codec: str) -> int:
        """Number of the color of a codec."""
        return self.codecs.index(codec)

    def points_of(self, codec: str) -> list[Point]:
        """Its points, by bitrate."""
        return [point for point in self.points if point[0] == codec]

    def bitrate(self, point: Point) -> float:
        """Measured bit/s; the nominal where nothing was measured."""
        measured = self._measured[point]
        return point[1] if measured is None or measured != measured else measured

    def kilobits(self, point: Point) -> str:
        """Bitrate in kbit/s, marked where it was not measured."""
        return f"{'≈' if point in self._assumed else ''}{kilobits(self.bitrate(point))}"

    def label(self, point: Point) -> str:
        """Codec and bitrate in kbit/s."""
        return f"{point[0]} {self.kilobits(point)}"

    def mean(self, scope: str, point: Point) -> Entry:
        """Entry of `means`."""
        return self._means[scope, *point]

    def estimate(self, scope: str, point: Point, score: str) -> Entry | None:
        """A score over a scope; None where the table has none."""
        found = self.mean(scope, point)["scores"].get(score)
        return found if found and found["n"] else None

    def flatters(self, score: str, codec: str | None = None) -> bool:
        """Whether a loss of the codec, or of any when it is None, imitates the metric of a score."""
        names = [codec] if codec is not None else list(self.imitated)
        return any(metric_and_reference(score)[0] in self.imitated.get(name, ()) for name in names)

    def star(self, score: str, codec: str) -> str:
        """The mark of a score that flatters a codec."""
        return "*" if self.flatters(score, codec) else ""

    def having(self, wanted: Iterable[str]) -> list[str]:
        """Those of the wanted scores that there are."""
        return [name for name in wanted if name in self.summary["scores"]]

    def nearest(self, codec: str, bitrate: float) -> Point:
        """The point of a codec whose measured bitrate is nearest by ratio."""
        return min(
            self.points_of(codec),
            key=lambda point: max(self.bitrate(point) / bitrate, bitrate / self.bitrate(point)),
        )

    def find(self, part: str, **wanted: Any) -> list[Entry]:
        """Entries of a part of the summary with these values."""
        return [
            entry
            for entry in self.summary[part]
            if all(entry[name] == value for name, value in wanted.items())
        ]
