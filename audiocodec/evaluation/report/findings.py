"""What the numbers say, in sentences: the top of the page."""

from __future__ import annotations

from collections.abc import Iterator

from audiocodec.evaluation.report import text
from audiocodec.evaluation.report.facts import Entry, Facts
from audiocodec.evaluation.score_table import CLEAN, DEGRADED

FEW_SPEAKERS = 10
SMALL_OVERLAP = 0.25
"""Bits for the same quality say little where codecs share less of the range of quality."""


def findings(facts: Facts) -> list[str]:
    """Sentences, the most important first."""
    score = facts.judge
    if score is None:
        return list(cautions(facts))
    parts = (_quality, _same_files, _equal_quality, _noise)
    return [*(sentence for part in parts for sentence in part(facts, score)), *cautions(facts)]


def cautions(facts: Facts) -> Iterator[str]:
    """What to keep in mind: scores that flatter a codec, bitrates that were not measured, few speakers."""
    yield from flattery(facts)
    if facts.uncounted:
        yield (
            "Bitrates marked ≈ are those asked for, because these codecs do not say how many bits they used:"
            f" {', '.join(facts.uncounted)}."
        )
    speakers = facts.summary["about"]["speakers"]
    if speakers < 2:
        yield "There is one speaker only: no intervals can be given, and nothing here can be generalized."
    elif speakers < FEW_SPEAKERS:
        yield f"The intervals rest on {speakers} speakers only: they are too narrow."


def flattery(facts: Facts) -> Iterator[str]:
    """Says of each codec which of the scores there are flatter it."""
    for codec in facts.imitated:
        known = dict.fromkeys(
            text.title(score) for score in facts.summary["scores"] if facts.flatters(score, codec)
        )
        if known:
            yield (
                f"* The training losses of {codec} imitate {', '.join(known)}: these scores overrate it,"
                " judge it by the others."
            )


def _value(estimate: Entry, score: str) -> str:
    digits = text.digits(score)
    limits = text.interval(estimate["low"], estimate["high"], digits)
    return f"{text.number(estimate['value'], digits)}{f' ({limits})' if limits else ''}"


def _quality(facts: Facts, score: str) -> Iterator[str]:
    scope = next(iter(facts.scopes))
    where = "On clean speech" if scope == CLEAN else "Over all recordings"
    for codec in facts.models or facts.codecs:
        reached = [
            f"{_value(estimate, score)} at {facts.kilobits(point)}"
            for point in facts.points_of(codec)
            if (estimate := facts.estimate(scope, point, score))
        ]
        if reached:
            yield f"{where}, {codec} reaches {text.title(score)} {', '.join(reached)} kbit/s."


def _same_files(facts: Facts, score: str) -> Iterator[str]:
    """The highest bitrate of each model beside the nearest of each other codec."""
    for codec in facts.models:
        point = facts.points_of(codec)[-1]
        for entry in facts.find(
            "differences",
            scope=next(iter(facts.scopes)), score=score, codec=codec, nominal_bitrate=point[1], nearest=True,
        ):  # fmt: skip
            other = (entry["against"], entry["against_bitrate"])
            whose = f"that of {other[0]} at {facts.kilobits(other)} kbit/s"
            if entry["n"]:
                yield (
                    f"On the same {entry['n']} files, {text.title(score)} of {codec}"
                    f" at {facts.kilobits(point)} kbit/s {_compared(entry, score, whose)}."
                )


def _compared(entry: Entry, score: str, whose: str) -> str:
    digits, value, low, high = text.digits(score), entry["value"], entry["low"], entry["high"]
    if text.excludes_zero(low, high):
        least, most = sorted((abs(low), abs(high)))
        size = f"{text.number(abs(value), digits)} {'higher' if value > 0 else 'lower'}"
        return f"is {size} than {whose} ({text.interval(least, most, digits)})"
    limits = text.interval(low, high, digits, sign=True)
    difference = text.number(value, digits, sign=True)
    return f"cannot be told apart from {whose} ({difference}{f', {limits}' if limits else ''})"


def _equal_quality(facts: Facts, score: str) -> Iterator[str]:
    places = {CLEAN: "on clean speech", DEGRADED: "under the other conditions"}
    for scope in facts.scopes:
        for entry in facts.find("bitrate_changes", scope=scope, score=score):
            if entry["codec"] not in facts.models or entry["reason"] or entry["overlap"] < SMALL_OVERLAP:
                continue
            lead = f"For the same {text.title(score)} {places.get(scope, 'overall')}, "
            name, other, percent = entry["codec"], entry["against"], entry["percent"]
            limits = text.interval(entry["low"], entry["high"], 0, sign=True)
            if text.excludes_zero(entry["low"], entry["high"]):
                which = "more" if percent > 0 else "fewer"
                size = text.percent(abs(percent) / 100)
                yield f"{lead}{name} needs {size} {which} bits than {other} ({limits}{text.THIN}%)."
            else:
                size = f"{text.number(percent, 0, sign=True)}{text.THIN}%"
                size += f", {limits}{text.THIN}%" if limits else ""
                yield f"{lead}it is open whether {name} needs more or fewer bits than {other} ({size})."


def _noise(facts: Facts, score: str) -> Iterator[str]:
    if DEGRADED not in facts.scopes or CLEAN not in facts.scopes:
        return
    digits = text.digits(score)
    for codec in facts.models:
        point = facts.points_of(codec)[-1]
        clean, rest = (facts.estimate(scope, point, score) for scope in (CLEAN, DEGRADED))
        means = {
            name: estimate["value"]
            for name in facts.conditions
            if (estimate := facts.estimate(name, point, score))
        }
        if clean and rest and means:
            worst = min(means, key=lambda name: means[name])
            yield (
                f"{text.title(score)} of {codec} at {facts.kilobits(point)} kbit/s is"
                f" {text.number(clean['value'], digits)} on clean speech and"
                f" {text.number(rest['value'], digits)} over the other conditions;"
                f" the lowest is {text.number(means[worst], digits)} ({text.condition_title(worst)})."
            )
