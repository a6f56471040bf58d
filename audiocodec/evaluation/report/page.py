"""`report.html`: one file with all it needs, for a person to read."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from audiocodec.evaluation.report import closing, headline, noise, rates, text
from audiocodec.evaluation.report.examples import Example
from audiocodec.evaluation.report.facts import Entry, Facts
from audiocodec.evaluation.report.style import page
from audiocodec.storage import replacing


def write_report(summary: Entry, meta: Entry, examples: Iterable[Example], path: Path) -> None:
    """Write the page, complete or not at all.

    Args:
        summary: of the rows, as `summarize` makes it.
        meta: of the run, as `describe_run` makes it; what is missing is left out.
        examples: the worst rows with their sounds, as `examples` makes them; taken until the page is large.
        path: of the page.
    """
    with replacing(path) as part:
        part.write_text(render(summary, meta, examples), encoding="utf-8")


def render(summary: Entry, meta: Entry, examples: Iterable[Example] = ()) -> str:
    """The page as text."""
    facts = Facts(summary, meta)
    name = ", ".join(facts.models) or ", ".join(facts.codecs)
    title = f"How {name} holds up"
    peers = [codec for codec in facts.codecs if codec not in facts.models]
    beside = f", beside {', '.join(peers)}" if peers and facts.models else ""
    when = str(meta.get("created", ""))[:10]
    sections = (
        ("Means", _intervals(facts), headline.tables(facts)),
        (
            "Quality over bitrate",
            "Compared with what went into the codec; bars are intervals.",
            rates.curves(facts),
        ),
        (
            "Bits for the same quality",
            f"How many more (+) or fewer ({text.MINUS}) bits the model needs for the quality of another,"
            " over the range of quality that both reach; colored where the interval excludes 0. Where little"
            " is shared, little is known.",
            rates.equal_quality(facts) + rates.differences(facts),
        ),
        (
            "Noise",
            "One chart a noise, each codec at its nearest bitrate; shades are intervals.",
            noise.snr_curves(facts) + noise.falls(facts),
        ),
        (
            "Every condition",
            "Means, the stronger the color the higher; intervals on hovering.",
            noise.heat_maps(facts),
        ),
        ("Languages", "", closing.languages(facts)),
        (
            "Worst files",
            "Of each condition the file furthest below the mean of the same codec and bitrate, in sound and"
            " picture.",
            closing.worst(examples),
        ),
        ("Failures", "", closing.failures(facts, meta.get("skipped", {}))),
        ("How this was made", "", closing.made(facts, meta)),
    )
    body = "".join(
        f"<h2>{head}</h2>" + (f'<p class="soft">{lead}</p>' if lead else "") + content
        for head, lead, content in sections
        if content
    )
    return page(
        escape(title),
        f'<h1>{escape(title)}</h1><p class="soft">{escape(str(meta.get("data", "")))}{escape(beside)}'
        f"{' · ' + when if when else ''}</p>{headline.badges(facts, meta)}{headline.findings(facts)}{body}",
    )


def _intervals(facts: Facts) -> str:
    about = facts.summary["about"]
    return (
        f"Compared with what went into the codec. Below each mean its {text.percent(about['level'])} interval"
        f" by resampling {about['speakers']} speakers; how many values on hovering."
    )
