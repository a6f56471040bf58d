"""The top of the page: what was measured, what came out in a few sentences, and the table of means."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from audiocodec.evaluation.report import style, text
from audiocodec.evaluation.report.facts import Entry, Facts, Point
from audiocodec.evaluation.score_table import CLEAN, DEGRADED

SCORES = ("pesq_wb", "pesq_nb", "stoi", "estoi", "si_sdr", "mel_distance", "word_error_rate", "distillmos",
          "dnsmos_p808", "dnsmos", "dnsmos_sig", "dnsmos_bak", "visqol_audio", "visqol_speech",
          "speaker_similarity", "frame_lock", "harmonicity_2_4khz", "harmonicity_4_7khz", "level_1_2khz",
          "level_2_4khz", "level_4_7khz")  # fmt: skip
JUDGES = ("pesq_wb_input", "distillmos", "dnsmos_p808", "dnsmos", "visqol_audio_input", "pesq_nb_input",
          "stoi_input")  # fmt: skip
"""Scores that can speak for all, the usual ones first."""
FEW_SPEAKERS = 10
SMALL_OVERLAP = 0.25


def scores_of(facts: Facts, scope: str) -> list[str]:
    """Columns of the headline table in a scope: against what went in, those that flatter a codec last."""
    wanted = [name for metric in SCORES for name in (metric, f"{metric}_input")]
    found = [
        name
        for name in facts.having(wanted)
        if any(facts.estimate(scope, point, name) for point in facts.points)
    ]
    return sorted(found, key=facts.flatters)


def badges(facts: Facts, meta: Entry) -> str:
    """How much was measured."""
    about = facts.summary["about"]
    languages = meta.get("languages") or []
    failed = about["failed_rows"]
    items = [
        f"{about['files']} files",
        f"{about['speakers']} speakers",
        *([f"{len(languages)} languages"] if len(languages) > 1 else []),
        *([f"{meta['seconds'] / 60:.1f} minutes of sound"] if meta.get("seconds") else []),
        f"{len(facts.summary['conditions'])} conditions",
        f"{len(facts.codecs)} codecs",
        f"{about['rows']} rows",
    ]
    failures = f'<li class="{"bad" if failed else ""}">{failed or "no"} failed</li>'
    return f'<ul class="badges">{"".join(f"<li>{item}</li>" for item in items)}{failures}</ul>'


def findings(facts: Facts) -> str:
    """What the numbers say, in sentences."""
    said = [*_quality(facts), *_same_files(facts), *_equal_quality(facts), *_noise(facts), *_care(facts)]
    return (
        f'<ul class="card says">{"".join(f"<li>{sentence}</li>" for sentence in said)}</ul>' if said else ""
    )


def judge(facts: Facts) -> str | None:
    """The score that speaks for all: of JUDGES one that no loss imitates, if there is one; else SI-SDR.

    SI-SDR compares samples, which says little of sound at low bitrates, so it comes after imitated ones.
    """
    there = facts.having(JUDGES)
    fair = [score for score in there if not facts.flatters(score)]
    return next(iter(fair or there or facts.having(["si_sdr"])), None)


def flattery(facts: Facts) -> Iterator[str]:
    """Says of each codec which of the scores there are flatter it."""
    for codec, metrics in facts.imitated.items():
        known = dict.fromkeys(
            text.title(score) for score in facts.summary["scores"] if facts.flatters(score, codec)
        )
        if metrics and known:
            yield (
                f"* Losses that {codec} was trained by imitate {', '.join(known)}: these say too much of it,"
                " judge by the others."
            )


def _value(estimate: Entry, score: str) -> str:
    digits = text.digits(score)
    limits = text.interval(estimate["low"], estimate["high"], digits)
    return f"{text.number(estimate['value'], digits)}{f' ({limits})' if limits else ''}"


def _quality(facts: Facts) -> Iterator[str]:
    score, scope = judge(facts), next(iter(facts.scopes))
    for codec in facts.models or facts.codecs:
        reached = [
            f"{_value(found, score)} at {facts.kilobits(point)}"
            for point in facts.points_of(codec)
            if score and (found := facts.estimate(scope, point, score))
        ]
        if reached and score:
            where = "On clean speech" if scope == CLEAN else "Over all recordings"
            yield f"{where}, {escape(codec)} reaches {text.title(score)} {', '.join(reached)} kbit/s."


def _equal_quality(facts: Facts) -> Iterator[str]:
    score = judge(facts)
    for scope in facts.scopes:
        for codec in facts.models:
            for entry in facts.find("bitrate_changes", scope=scope, score=score, codec=codec):
                where = {CLEAN: "on clean speech", DEGRADED: "under the other conditions"}.get(
                    scope, "overall"
                )
                other, name = escape(entry["against"]), escape(codec)
                if entry["reason"] or entry["overlap"] < SMALL_OVERLAP:
                    continue
                percent, limits = entry["percent"], text.interval(entry["low"], entry["high"], 0, sign=True)
                lead = f"For the same {text.title(str(score))} {where}, "
                if not text.excludes_zero(entry["low"], entry["high"]):
                    found = f"{text.number(percent, 0, sign=True)}{text.THIN}%"
                    yield (
                        f"{lead}it is open whether {name} needs more or fewer bits than {other}"
                        f" ({found}{f', {limits}{text.THIN}%' if limits else ''})."
                    )
                    continue
                which = "more" if percent > 0 else "fewer"
                yield (
                    f"{lead}{name} needs {text.percent(abs(percent) / 100)} {which} bits than {other}"
                    f" ({limits}{text.THIN}%)."
                )


def _same_files(facts: Facts) -> Iterator[str]:
    """The highest bitrate of each model beside the nearest of each other codec."""
    score = judge(facts)
    for codec in facts.models:
        point = facts.points_of(codec)[-1]
        for entry in facts.find(
            "differences", score=score, codec=codec, nominal_bitrate=point[1], nearest=True
        ):
            if entry["scope"] != next(iter(facts.scopes)) or not entry["n"]:
                continue
            other = (entry["against"], entry["against_bitrate"])
            whose = f"that of {escape(other[0])} at {facts.kilobits(other)} kbit/s"
            yield (
                f"On the same {entry['n']} files its {text.title(str(score))} at"
                f" {facts.kilobits(point)} kbit/s {_compared(entry, str(score), whose)}."
            )


def _compared(entry: Entry, score: str, whose: str) -> str:
    digits, value = text.digits(score), entry["value"]
    low, high = entry["low"], entry["high"]
    if text.excludes_zero(low, high):
        least, most = sorted((abs(low), abs(high)))
        which = "higher" if value > 0 else "lower"
        size = text.number(abs(value), digits)
        return f"is {size} {which} than {whose} ({text.interval(least, most, digits)})"
    limits = text.interval(low, high, digits, sign=True)
    found = text.number(value, digits, sign=True)
    return f"cannot be told apart from {whose} ({found}{f', {limits}' if limits else ''})"


def _noise(facts: Facts) -> Iterator[str]:
    score = judge(facts)
    if score is None or DEGRADED not in facts.scopes or CLEAN not in facts.scopes:
        return
    for codec in facts.models:
        point = facts.points_of(codec)[-1]
        clean, rest = (facts.estimate(scope, point, score) for scope in (CLEAN, DEGRADED))
        means = {
            one["name"]: found["value"]
            for one in facts.summary["conditions"]
            if (found := facts.estimate(one["name"], point, score))
        }
        if clean and rest and means:
            worst = min(means, key=lambda name: means[name])
            digits = text.digits(score)
            yield (
                f"Away from clean speech, {escape(codec)} at {facts.kilobits(point)} kbit/s"
                f" goes from {text.title(score)} {text.number(clean['value'], digits)} to"
                f" {text.number(rest['value'], digits)}; it reproduces"
                f" {escape(text.condition_title(worst))} worst ({text.number(means[worst], digits)})."
            )


def _care(facts: Facts) -> Iterator[str]:
    yield from map(escape, flattery(facts))
    if facts.uncounted:
        names = escape(", ".join(facts.uncounted))
        yield f"Bitrates marked ≈ are those asked for: how many bits were used is not said by {names}."
    speakers = facts.summary["about"]["speakers"]
    if speakers < 2:
        yield "One speaker only: there are no intervals, and nothing here can be generalized."
    elif speakers < FEW_SPEAKERS:
        yield f"Intervals rest on {speakers} speakers: read them as too narrow."


def tables(facts: Facts) -> str:
    """Means of every codec and bitrate: on clean speech, and over everything else."""
    parts = [(title, _table(facts, scope)) for scope, title in facts.scopes.items()]
    return style.tabs("mean", parts)


def _table(facts: Facts, scope: str) -> str:
    scores = scores_of(facts, scope)
    heads = "".join(_head(facts, score) for score in scores)
    body = "".join(_line(facts, point, scope, scores) for point in facts.points)
    last = "<th>Encode and<br>decode, RTF</th><th>Rows<br>failed</th>"
    return style.table(f"<tr><th>Codec</th><th>kbit/s</th>{heads}{last}</tr>", body)


def _head(facts: Facts, score: str) -> str:
    about = facts.summary["scores"][score]
    arrow = {"higher": "↑", "lower": "↓"}.get(about["better"], "")
    unit = f", {about['unit']}" if about["unit"] in ("dB", "cents", "LU") else ""
    meaning = f"{about['meaning']} {about['better']} is better".strip()
    return f'<th title="{escape(meaning)}">{escape(text.title(score))}{unit} {arrow}</th>'


def _line(facts: Facts, point: Point, scope: str, scores: list[str]) -> str:
    codec = point[0]
    first = point == facts.points_of(codec)[0]
    cells = "".join(
        text.cell(facts.estimate(scope, point, score), text.digits(score), mark=facts.star(score, codec))
        for score in scores
    )
    failed, rows = (facts.mean(scope, point)[name] for name in ("failed", "rows"))
    return (
        f"<tr{' class=first' if first else ''}>{style.codec_cell(escape(codec), facts.color(codec))}"
        f"<td>{facts.kilobits(point)}</td>{cells}{_speed(facts, point, scope)}"
        f"<td{' class=worse' if failed else ''}>{failed}<small>of {rows}</small></td></tr>"
    )


def _speed(facts: Facts, point: Point, scope: str) -> str:
    found: list[Any] = [facts.estimate(scope, point, f"{step}_rtf") for step in ("encode", "decode")]
    if not all(found):
        return f"<td>{text.DASH}</td>"
    speeds = [f"{one['value']:.2g}" for one in found]
    return f"<td>{' + '.join(speeds)}</td>"
