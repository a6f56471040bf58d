"""Quality over bitrate: curves, bits for equal quality, differences on the same files."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from audiocodec.evaluation.report import text
from audiocodec.evaluation.report.charts import Curve, Dot, bitrate_axis, chart, even_axis, legend
from audiocodec.evaluation.report.facts import Entry, Facts, Point
from audiocodec.evaluation.report.headline import SMALL_OVERLAP, judge
from audiocodec.evaluation.report.style import table, tabs
from audiocodec.evaluation.score_table import CLEAN

CURVES = ("pesq_wb_input", "pesq_nb_input", "stoi_input", "si_sdr", "mel_distance", "distillmos",
          "dnsmos_p808", "dnsmos", "visqol_audio_input", "frame_lock", "word_error_rate")  # fmt: skip
NOTHING_SHARED = "nothing shared"
COMPARED = ("pesq_wb_input", "pesq_wb_clean", "stoi_input", "mel_distance", "distillmos", "dnsmos_p808",
            "dnsmos", "visqol_audio_input")  # fmt: skip


def dot(x: float, estimate: Entry) -> Dot:
    """A point of a curve."""
    return Dot(x, estimate["value"], *(_limit(estimate[name]) for name in ("low", "high")))


def _limit(value: float | None) -> float:
    return float("nan") if value is None else value


def title_of(score: str, facts: Facts) -> str:
    """Heading of a chart: metric, unit, which way is better."""
    about = facts.summary["scores"][score]
    unit = f" in {about['unit']}" if about["unit"] in ("dB", "cents") else ""
    better = {"higher": "higher is better", "lower": "lower is better"}.get(about["better"], "")
    return f"<h3>{escape(text.title(score))}{unit} <small>{better}</small></h3>"


def curves(facts: Facts) -> str:
    """Scores against what went in, over the measured bitrate, a tab for each wide scope."""
    names = [(codec, facts.color(codec)) for codec in facts.codecs]
    parts = [
        (title, f'<div class="panels">{"".join(_panels(facts, scope))}</div>')
        for scope, title in facts.scopes.items()
    ]
    return legend(names) + tabs("rate", parts)


def _panels(facts: Facts, scope: str) -> Iterable[str]:
    axis = bitrate_axis([facts.bitrate(point) for point in facts.points])
    for score in facts.having(CURVES):
        drawn = [
            Curve(codec, facts.color(codec), tuple(_dots(facts, scope, codec, score)))
            for codec in facts.codecs
        ]
        heights = [value for curve in drawn for one in curve.dots for value in one[1:] if value == value]
        if heights:
            label = f"{text.title(score)} over bitrate, {facts.scopes[scope]}"
            upright = even_axis(heights, text.title(score), 3)
            yield f'<div class="card">{title_of(score, facts)}{chart(drawn, axis, upright, label)}</div>'


def _dots(facts: Facts, scope: str, codec: str, score: str) -> Iterable[Dot]:
    for point in facts.points_of(codec):
        found = facts.estimate(scope, point, score)
        if found:
            yield dot(facts.bitrate(point), found)


def equal_quality(facts: Facts) -> str:
    """Bits for the quality of each other codec; single conditions on demand."""
    scores = facts.having(COMPARED)
    codecs = facts.models or facts.codecs[:1]
    pairs = [
        (codec, other)
        for codec in codecs
        for other in facts.codecs
        if facts.find("bitrate_changes", codec=codec, against=other)
    ]
    if not pairs or not scores:
        return ""
    wide = "".join(
        _change_lines(facts, pair, facts.scopes, scores, f"{pair[0]} for the quality of {pair[1]}")
        for pair in pairs
    )
    single = "".join(
        _change_lines(facts, pair, _conditions(facts), scores, f"{pair[0]} for the quality of {pair[1]}")
        for pair in pairs
    )
    details = f"<details><summary>By condition</summary>{_change_table(scores, single)}</details>"
    return _change_table(scores, wide) + (details if _conditions(facts) else "")


def _conditions(facts: Facts) -> dict[str, str]:
    names = [one["name"] for one in facts.summary["conditions"]]
    return {name: text.condition_title(name) for name in names if name != CLEAN} if len(names) > 1 else {}


def _change_table(scores: list[str], lines: str) -> str:
    heads = "".join(f"<th>{escape(text.title(name))}<br>{text.against(name)}</th>" for name in scores)
    return table(f"<tr><th></th>{heads}</tr>", lines)


def _change_lines(
    facts: Facts, pair: tuple[str, str], scopes: dict[str, str], scores: list[str], title: str
) -> str:
    lines = [f'<tr class="kind"><td colspan="{len(scores) + 1}">{escape(title)}</td></tr>']
    for scope, name in scopes.items():
        found = {
            entry["score"]: entry
            for entry in facts.find("bitrate_changes", scope=scope, codec=pair[0], against=pair[1])
        }
        cells = "".join(_change(found.get(score)) for score in scores)
        lines.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return "".join(lines)


def _change(entry: Entry | None) -> str:
    if entry is None:
        return f"<td>{text.DASH}</td>"
    if entry["reason"]:
        return f'<td title="{escape(entry["reason"])}">{_bound(entry)}</td>'
    limits = text.interval(entry["low"], entry["high"], 0, sign=True)
    sure = text.excludes_zero(entry["low"], entry["high"])
    kind = ("worse" if entry["percent"] > 0 else "good") if sure else ""
    few = f"{text.percent(entry['overlap'])} shared" if entry["overlap"] < SMALL_OVERLAP else ""
    below = " · ".join(part for part in (limits, few) if part)
    return (
        f'<td title="{text.percent(entry["overlap"])} of the range of quality is shared">'
        f'<span class="{kind}">'
        f"{text.number(entry['percent'], 0, sign=True)}{text.THIN}%</span><small>{below}</small></td>"
    )


def _bound(entry: Entry) -> str:
    """What is known when no quality is shared."""
    if bound := text.bound(entry):
        return f"{escape(bound)}<small>{NOTHING_SHARED}</small>"
    return f"{text.DASH}<small>{text.why_no_change(entry)}</small>"


def differences(facts: Facts) -> str:
    """Models minus others on the same files and conditions, at every pair of bitrates."""
    score = judge(facts)
    codecs = facts.models or facts.codecs[:1]
    entries = facts.find("differences", score=score)
    others = [point for point in facts.points if any(_is_against(entry, point) for entry in entries)]
    if score is None or not others:
        return ""
    parts = [
        (title, _difference_table(facts, scope, score, codecs, others))
        for scope, title in facts.scopes.items()
    ]
    return f"<h4>{text.title(score)} minus that of another codec, on the same files</h4>" + tabs(
        "diff", parts
    )


def _is_against(entry: Entry, point: Point) -> bool:
    return (entry["against"], entry["against_bitrate"]) == point


def _difference_table(facts: Facts, scope: str, score: str, codecs: list[str], others: list[Point]) -> str:
    heads = "".join(f"<th>{escape(facts.label(point))}<br>kbit/s</th>" for point in others)
    lines: list[str] = []
    for point in (point for codec in codecs for point in facts.points_of(codec)):
        found = facts.find("differences", scope=scope, score=score, codec=point[0], nominal_bitrate=point[1])
        cells = "".join(
            _difference(next((entry for entry in found if _is_against(entry, other)), None), score)
            for other in others
        )
        lines.append(f"<tr><td>{escape(facts.label(point))} kbit/s</td>{cells}</tr>")
    return table(f"<tr><th></th>{heads}</tr>", "".join(lines))


def _difference(entry: Entry | None, score: str) -> str:
    if entry is None or not entry["n"]:
        return f"<td>{text.DASH}</td>"
    digits = text.digits(score)
    kind = (
        ("good" if entry["value"] > 0 else "worse") if text.excludes_zero(entry["low"], entry["high"]) else ""
    )
    limits = text.interval(entry["low"], entry["high"], digits, sign=True)
    return (
        f'<td title="{entry["n"]} pairs of {entry["speakers"]} speakers"><span class="{kind}">'
        f"{text.number(entry['value'], digits, sign=True)}</span><small>{limits}</small></td>"
    )
