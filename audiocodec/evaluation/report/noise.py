"""What noise, rooms and devices do: curves over the SNR, where PESQ falls, and a map of all conditions."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from audiocodec.evaluation.report import text
from audiocodec.evaluation.report.charts import Axis, Curve, chart, even_axis, legend
from audiocodec.evaluation.report.facts import Entry, Facts, Point
from audiocodec.evaluation.report.rates import dot
from audiocodec.evaluation.report.style import COLORS, codec_cell, table, tabs
from audiocodec.evaluation.score_table import CLEAN

SCORES = ("pesq_wb_input", "pesq_wb_clean")
MAPS = ("pesq_wb_input", "pesq_wb_clean", "stoi_input", "stoi_clean", "si_sdr", "token_flip_rate")
CLEAN_STEP = 0.22
"""Where clean speech lies left of the highest SNR, as a share of the SNRs' range."""


def snr_curves(facts: Facts) -> str:
    """A chart for each noise, a tab for each score and bitrate of the first model."""
    groups = list(dict.fromkeys(entry["group"] for entry in facts.summary["degradation"]))
    groups = [group for group in groups if len(_snrs(facts, group)) > 1]
    if not groups:
        return ""
    lead = (facts.models or facts.codecs)[0]
    parts: list[tuple[str, str]] = []
    for point in facts.points_of(lead):
        chosen = [facts.nearest(codec, facts.bitrate(point)) for codec in facts.codecs]
        blocks = "".join(_block(facts, score, groups, chosen) for score in facts.having(SCORES))
        parts.append((f"about {facts.kilobits(point)} kbit/s", blocks))
    return tabs("snr", parts)


def _snrs(facts: Facts, group: str) -> list[float]:
    conditions = facts.find("conditions", group=group)
    return sorted({one["snr_db"] for one in conditions if _known(one["snr_db"])}, reverse=True)


def _block(facts: Facts, score: str, groups: list[str], points: list[Point]) -> str:
    shown = {group: list(_curves(facts, score, group, points)) for group in groups}
    values = [
        value
        for curves in shown.values()
        for curve in curves
        for one in curve.dots
        for value in one[1:]
        if value == value
    ]
    if not values:
        return ""
    name = text.title(score)
    upright = even_axis(values, name, 2)
    panels = "".join(
        f'<div class="card"><h3>{escape(text.sentence(group.replace("_", " ")))}</h3>'
        f"{chart(curves, _snr_axis(facts, group), upright, f'{name} over SNR, {group}', bands=True)}</div>"
        for group, curves in shown.items()
    )
    names: list[tuple[str, int | None]] = [
        (f"{facts.label(point)} kbit/s", facts.color(point[0])) for point in points
    ]
    if any(curve.color is None for curves in shown.values() for curve in curves):
        names.append(("no codec", None))
    head = f"<h4>{text.title(score)}, {text.against(score)}</h4>"
    return f'{head}{legend(names)}<div class="panels">{panels}</div>'


def _snr_axis(facts: Facts, group: str) -> Axis:
    snrs = _snrs(facts, group)
    ticks = [(snr, text.number(snr, 0)) for snr in snrs]
    left = snrs[0]
    if facts.find("conditions", name=CLEAN):
        left = _clean_place(snrs)
        ticks.insert(0, (left, "clean"))
    return Axis(left, snrs[-1], ticks, "SNR in dB: more noise to the right")


def _clean_place(snrs: list[float]) -> float:
    return snrs[0] + CLEAN_STEP * (snrs[0] - snrs[-1])


def _curves(facts: Facts, score: str, group: str, points: list[Point]) -> Iterable[Curve]:
    snrs = _snrs(facts, group)
    start = _clean_place(snrs)
    if score.endswith("_clean"):
        uncoded = score.replace("_clean", "_uncoded")
        dots = [
            dot(one["snr_db"], found)
            for one in sorted(facts.find("conditions", group=group), key=lambda one: -one["snr_db"])
            if (found := facts.summary["uncoded"][one["name"]].get(uncoded)) and found["n"]
        ]
        yield Curve("no codec", None, dots)
    for point in points:
        entry = facts.find("degradation", group=group, score=score, codec=point[0], nominal_bitrate=point[1])[
            0
        ]
        clean = facts.estimate(CLEAN, point, score) if facts.find("conditions", name=CLEAN) else None
        dots = [dot(start, clean)] if clean else []
        dots += [dot(one["snr_db"], one) for one in entry["points"] if one["n"]]
        yield Curve(point[0], facts.color(point[0]), dots)


def falls(facts: Facts) -> str:
    """The SNR where PESQ falls: below a threshold, and below what a codec reaches without noise."""
    score = next(iter(facts.having(SCORES)), None)
    entries = facts.find("degradation", score=score)
    groups = list(dict.fromkeys(entry["group"] for entry in entries if len(entry["points"]) > 1))
    if not groups:
        return ""
    about = facts.summary["about"]
    kinds = {
        "below_clean": f"{text.number(about['pesq_drop'], 1)} below what the codec reaches on clean speech",
        "below_threshold": f"below {text.number(about['pesq_threshold'], 1)}",
    }
    parts = [
        (title, _fall_table(facts, entries, groups, kind))
        for kind, title in kinds.items()
        if any(kind in entry for entry in entries)
    ]
    head = f"<h4>SNR where {text.title(str(score))} {text.against(str(score))} falls, in dB</h4>"
    return head + '<p class="soft">Lower is better: the codec stands more noise.</p>' + tabs("fall", parts)


def _fall_table(facts: Facts, entries: list[Entry], groups: list[str], kind: str) -> str:
    heads = "".join(f"<th>{escape(group.replace('_', ' '))}</th>" for group in groups)
    found = {(entry["group"], entry["codec"], entry["nominal_bitrate"]): entry for entry in entries}
    lines = "".join(
        f"<tr{' class=first' if point == facts.points_of(point[0])[0] else ''}>"
        f"{codec_cell(f'{escape(facts.label(point))} kbit/s', facts.color(point[0]))}"
        f"{''.join(_fall(found.get((group, *point)), kind) for group in groups)}</tr>"
        for point in facts.points
    )
    return table(f"<tr><th></th>{heads}</tr>", lines)


def _fall(entry: Entry | None, kind: str) -> str:
    if entry is None or kind not in entry:
        return f"<td>{text.DASH}</td>"
    value, low, high = (escape(text.snr(entry, kind, name)) for name in ("snr_db", "low", "high"))
    limits = f"<small>{low} to {high}</small>" if text.DASH not in (low, high) and low != high else ""
    return f"<td>{value}{limits}</td>"


def _known(value: float | str | None) -> bool:
    return isinstance(value, str) or (value is not None and value == value)


def heat_maps(facts: Facts) -> str:
    """A cell for each condition, codec and bitrate, a tab for each score."""
    scores = facts.having(MAPS)
    parts = [(f"{text.title(score)}, {text.against(score)}", _heat(facts, score)) for score in scores]
    return tabs("heat", parts) if parts else ""


def _heat(facts: Facts, score: str) -> str:
    conditions = facts.summary["conditions"]
    points = [
        point
        for point in facts.points
        if any(facts.estimate(one["name"], point, score) for one in conditions)
    ]
    values = [
        found["value"]
        for one in conditions
        for point in points
        if (found := facts.estimate(one["name"], point, score))
    ]
    if not values:
        return ""
    codecs = list(dict.fromkeys(codec for codec, _ in points))
    spans = "".join(
        f'<th colspan="{sum(point[0] == codec for point in points)}" class="s{facts.color(codec) % COLORS}">'
        f'<i class="key"></i>{escape(codec)}</th>'
        for codec in codecs
    )
    heads = "".join(f"<th>{facts.kilobits(point)}</th>" for point in points)
    lines: list[str] = []
    kind = None
    for one in conditions:
        if one["kind"] != kind and len(conditions) > 1:
            kind = one["kind"]
            lines.append(
                f'<tr class="kind"><td colspan="{len(points) + 1}">{escape(kind.replace("_", " "))}</td></tr>'
            )
        cells = "".join(
            _heat_cell(facts.estimate(one["name"], point, score), score, min(values), max(values))
            for point in points
        )
        lines.append(f"<tr><td>{escape(text.condition_title(one['name']))}</td>{cells}</tr>")
    head = f"<tr><th></th>{spans}</tr><tr><th>kbit/s</th>{heads}</tr>"
    return table(head, "".join(lines), "heat")


def _heat_cell(estimate: Entry | None, score: str, low: float, high: float) -> str:
    if estimate is None:
        return f"<td>{text.DASH}</td>"
    digits = text.digits(score)
    share = (estimate["value"] - low) / (high - low) if high > low else 0.0
    limits = text.interval(estimate["low"], estimate["high"], digits)
    hint = f"{limits}, {estimate['n']} values" if limits else f"{estimate['n']} values"
    return (
        f'<td class="v" style="--a:{0.04 + 0.5 * share:.2f}" title="{escape(hint)}">'
        f"{text.number(estimate['value'], digits)}</td>"
    )
