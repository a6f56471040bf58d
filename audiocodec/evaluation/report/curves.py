"""Curves of a report: scores over bitrate, and over the SNR of each noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from audiocodec.evaluation.report import text
from audiocodec.evaluation.report.facts import Entry, Facts, Point
from audiocodec.evaluation.report.tables import FALLING
from audiocodec.evaluation.score_table import CLEAN
from audiocodec.report.plots import Curve, draw_curves

OVER_BITRATE = ("pesq_wb_input", "pesq_nb_input", "stoi_input", "si_sdr", "mel_distance", "distillmos",
                "dnsmos_p808", "dnsmos", "visqol_audio_input", "frame_lock", "word_error_rate")  # fmt: skip
CLEAN_STEP = 0.22
"""Where clean speech lies left of the highest SNR, as a share of the range of SNRs."""


@dataclass(frozen=True)
class Panels:
    """Charts that share a legend.

    Attributes:
        title: above all of them.
        legend: name and number of the color of each codec; None for the gray dotted line.
        charts: title, remark and SVG.
        folded: whether they are shown on demand only.
    """

    title: str
    legend: Sequence[tuple[str, int | None]]
    charts: Sequence[tuple[str, str, str]]
    folded: bool = False


def _curve(color: int | None, points: Iterable[tuple[float, Entry]]) -> Curve:
    points = list(points)
    limits = ([math.nan if one[name] is None else one[name] for _, one in points] for name in ("low", "high"))
    return Curve(color, [x for x, _ in points], [one["value"] for _, one in points], *limits)


def over_bitrate(facts: Facts) -> Iterator[Panels]:
    """Scores against what went in, over the measured bitrate, for each wide scope."""
    legend = [(codec, facts.color(codec)) for codec in facts.codecs]
    ticks = _bitrate_ticks([facts.bitrate(point) for point in facts.points])
    for scope, title in facts.scopes.items():
        charts: list[tuple[str, str, str]] = []
        for score in facts.having(OVER_BITRATE):
            curves = [
                _curve(
                    facts.color(codec),
                    (
                        (facts.bitrate(point), estimate)
                        for point in facts.points_of(codec)
                        if (estimate := facts.estimate(scope, point, score))
                    ),
                )
                for codec in facts.codecs
            ]
            if any(curve.x for curve in curves):
                about = facts.summary["scores"][score]
                unit = f" in {about['unit']}" if about["unit"] in ("dB", "cents") else ""
                better = f"{about['better']} is better" if about["better"] in ("higher", "lower") else ""
                name = f"{text.title(score)} over bitrate, {title}"
                svg = draw_curves(name, curves, "kbit/s, measured", ticks, log=True)
                charts.append((f"{text.title(score)}{unit}", better, svg))
        if charts:
            yield Panels(title, legend, charts)


def _bitrate_ticks(bitrates: Iterable[float]) -> dict[float, str]:
    """Bitrates in kbit/s, those left out that are too close to the one before."""
    rates = sorted(set(bitrates))
    ticks: list[float] = []
    for rate in rates:
        if not ticks or math.log(rate / ticks[-1]) > 0.1 * math.log(rates[-1] / rates[0]):
            ticks.append(rate)
    return {rate: text.kilobits(rate) for rate in ticks}


def over_snr(facts: Facts) -> Iterator[Panels]:
    """A chart for each noise; at each bitrate of the first model every codec at its nearest bitrate."""
    lead = (facts.models or facts.codecs)[0]
    for number, point in enumerate(facts.points_of(lead)):
        points = [facts.nearest(codec, facts.bitrate(point)) for codec in facts.codecs]
        legend: list[tuple[str, int | None]] = [
            (f"{facts.label(one)} kbit/s", facts.color(one[0])) for one in points
        ]
        for score in facts.having(FALLING):
            groups = {group: _snr_curves(facts, score, group, points) for group in facts.noises(score)}
            values = [
                value
                for curves in groups.values()
                for curve in curves
                for value in (*curve.y, *curve.low, *curve.high)
                if math.isfinite(value)
            ]
            if not values:
                continue
            title = f"{text.full_title(score)}, at about {facts.kilobits(point)} kbit/s"
            margin = 0.05 * (max(values) - min(values)) or 0.1
            y_range = min(values) - margin, max(values) + margin
            charts = [
                (
                    text.sentence(group.replace("_", " ")),
                    "",
                    draw_curves(
                        f"{title}, {group}", curves, "SNR in dB, more noise to the right",
                        _snr_ticks(facts, group), y_range=y_range, intervals="bands",
                    ),
                )
                for group, curves in groups.items()
            ]  # fmt: skip
            gray = [("no codec", None)] if score.endswith("_clean") else []
            yield Panels(title, [*legend, *gray], charts, folded=number > 0)


def _snrs(facts: Facts, group: str) -> dict[float, str]:
    """SNRs of a noise, each with the name of its condition."""
    entries = facts.conditions.items()
    return {
        one["snr_db"]: name for name, one in entries if one["group"] == group and one["snr_db"] is not None
    }


def _snr_ticks(facts: Facts, group: str) -> dict[float, str]:
    """Places of clean speech, if there is some, and of the SNRs of a noise, the highest first."""
    snrs = sorted(_snrs(facts, group), reverse=True)
    ticks = {snr: text.number(snr, 0) for snr in snrs}
    if CLEAN not in facts.conditions:
        return ticks
    return {snrs[0] + CLEAN_STEP * (snrs[0] - snrs[-1]): "clean", **ticks}


def _snr_curves(facts: Facts, score: str, group: str, points: Sequence[Point]) -> list[Curve]:
    curves: list[Curve] = []
    if score.endswith("_clean"):
        uncoded = facts.summary["uncoded"]
        names = _snrs(facts, group)
        values = {snr: uncoded[names[snr]].get(score.replace("_clean", "_uncoded")) for snr in sorted(names)}
        curves.append(_curve(None, ((snr, one) for snr, one in values.items() if one and one["n"])))
    start = next(iter(_snr_ticks(facts, group)))
    for codec, bitrate in points:
        (entry,) = facts.find("degradation", group=group, score=score, codec=codec, nominal_bitrate=bitrate)
        clean = facts.estimate(CLEAN, (codec, bitrate), score) if CLEAN in facts.conditions else None
        curve = [(start, clean)] if clean else []
        curve += [(one["snr_db"], one) for one in entry["points"] if one["n"]]
        curves.append(_curve(facts.color(codec), curve))
    return curves
