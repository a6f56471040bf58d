"""What a report looks up in a summary again and again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from audiocodec.evaluation.report.text import kilobits, metric_and_reference
from audiocodec.evaluation.score_table import ALL, CLEAN, DEGRADED

Entry = dict[str, Any]
Point = tuple[str, float]
"""A codec at a nominal bitrate."""
JUDGES = ("pesq_wb_input", "distillmos", "dnsmos_p808", "dnsmos", "visqol_audio_input", "pesq_nb_input",
          "stoi_input")  # fmt: skip
"""Scores that can speak for all, the usual ones first."""


class Facts:
    """A summary, as `summarize` makes it, with its entries by name.

    Attributes:
        summary: all of it.
        codecs: names, models before peers.
        models: names of the codecs that are models of this package.
        points: codecs and nominal bitrates in the order of tables.
        scopes: wide scopes there are, with their titles: clean speech first.
        conditions: entry of each condition by its name.
        uncounted: codecs that do not say how many bits they used.
        imitated: codec -> metrics that its training losses imitate; only codecs with some.
        judge: the score that speaks for all: of JUDGES one that no loss imitates, if there is one; None
            without scores. SI-SDR compares samples, which says little at low bitrates, so it comes last.
    """

    def __init__(self, summary: Entry, meta: Entry) -> None:
        """`meta` of the run says which scores flatter a codec."""
        self.summary = summary
        codecs: dict[str, Entry] = summary["codecs"]
        self.codecs = sorted(codecs, key=lambda name: codecs[name]["peer"])
        self.models = [name for name in self.codecs if not codecs[name]["peer"]]
        self._points: dict[Point, Entry] = {
            (codec, point["nominal_bitrate"]): point
            for codec in self.codecs
            for point in codecs[codec]["points"]
        }
        self.points = list(self._points)
        self.uncounted = list(
            dict.fromkeys(point[0] for point in self.points if self._points[point]["nominal_bits"])
        )
        self._means = {
            (entry["scope"], entry["codec"], entry["nominal_bitrate"]): entry for entry in summary["means"]
        }
        self.conditions: dict[str, Entry] = {one["name"]: one for one in summary["conditions"]}
        self.scopes = self._wide_scopes()
        self.imitated: dict[str, list[str]] = {
            one["name"]: one["imitates"] for one in meta.get("codecs", []) if one.get("imitates")
        }
        judges = self.having(JUDGES)
        fair = [score for score in judges if not self.flatters(score)]
        self.judge = next(iter([*fair, *judges, *self.having(["si_sdr"])]), None)

    def _wide_scopes(self) -> dict[str, str]:
        others = len(self.conditions) - (CLEAN in self.conditions)
        scopes = {CLEAN: "Clean speech"} if CLEAN in self.conditions else {}
        if DEGRADED in self.summary["uncoded"]:
            scopes[DEGRADED] = f"Mean of {others} other condition{'s' if others > 1 else ''}"
        return scopes or {ALL: f"Mean of {others} conditions" if others > 1 else "All recordings"}

    def color(self, codec: str) -> int:
        """Number of the color of a codec."""
        return self.codecs.index(codec)

    def points_of(self, codec: str) -> list[Point]:
        """Its points, by bitrate."""
        return [point for point in self.points if point[0] == codec]

    def bitrate(self, point: Point) -> float:
        """Measured bit/s; the nominal where nothing was measured."""
        measured = self._points[point]["bitrate"]
        return point[1] if measured is None or measured != measured else measured

    def kilobits(self, point: Point) -> str:
        """Bitrate in kbit/s, marked where it was not measured."""
        return f"{'≈' if self._points[point]['nominal_bits'] else ''}{kilobits(self.bitrate(point))}"

    def label(self, point: Point) -> str:
        """Codec and bitrate in kbit/s."""
        return f"{point[0]} {self.kilobits(point)}"

    def mean(self, scope: str, point: Point) -> Entry:
        """Entry of `means`."""
        return self._means[scope, *point]

    def has_scope(self, scope: str) -> bool:
        """Whether there are means over a scope."""
        return any((scope, *point) in self._means for point in self.points)

    def estimate(self, scope: str, point: Point, score: str) -> Entry | None:
        """A score over a scope; None where the table has none."""
        estimate = self.mean(scope, point)["scores"].get(score)
        return estimate if estimate and estimate["n"] else None

    def flatters(self, score: str, codec: str | None = None) -> bool:
        """Whether a training loss of the codec, or of any when it is None, imitates the metric of a score."""
        names = [codec] if codec is not None else list(self.imitated)
        return any(metric_and_reference(score)[0] in self.imitated.get(name, ()) for name in names)

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

    def noises(self, score: str | None) -> dict[str, list[Entry]]:
        """Noise -> its entries of `degradation` for a score; noises at several SNRs only."""
        groups: dict[str, list[Entry]] = {}
        for entry in self.find("degradation", score=score):
            if len(entry["points"]) > 1:
                groups.setdefault(entry["group"], []).append(entry)
        return groups
