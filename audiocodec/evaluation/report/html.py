"""`report.html`: one file with all it needs, for a person to read."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from audiocodec.evaluation.report import curves, tables, text
from audiocodec.evaluation.report.curves import Panels
from audiocodec.evaluation.report.examples import Example
from audiocodec.evaluation.report.facts import Entry, Facts
from audiocodec.evaluation.report.findings import findings
from audiocodec.evaluation.report.tables import Table
from audiocodec.report import media
from audiocodec.report.page import render as render_page
from audiocodec.report.plots import SYMBOLS

MAX_SECONDS = 6.0
"""Length of an example."""
MAX_BYTES = 8_000_000
"""Size of all sounds and pictures together."""
GLOSSARY = {
    "Against what went in": "The decoded sound is compared with what the codec was given, noise included."
    " It shows how transparent the codec is.",
    "Against the clean original": "The decoded sound is compared with the speech before noise was added."
    " It shows what a listener gets of the speech. No codec can be expected to be above the line “no codec”.",
    "Bits for the same quality": "Bjontegaard delta rate: the mean difference of the logarithm of the"
    " bitrate over the qualities that both codecs reach. The curves between measured bitrates are monotone"
    " cubics.",
    "PESQ-WB": "ITU-T P.862.2 at 16 kHz, from 1.0 to 4.6. PESQ and STOI agree less with listeners for neural"
    " codecs than for the codecs they were made for: listen as well.",
    "RTF": "Real-time factor: processor seconds for one second of sound.",
}


def render(summary: Entry, meta: Entry, examples: Iterable[Example] = ()) -> str:
    """The page as text.

    Args:
        summary: of the rows, as `summarize` makes it.
        meta: of the run, as `describe_run` makes it; what is missing is left out.
        examples: the worst rows with their sounds; taken until the page is large.

    Raises:
        MissingPackageError: a package that draws or fills in the page is not installed.
    """
    facts = Facts(summary, meta)
    peers = [codec for codec in facts.codecs if codec not in facts.models]
    about = [
        str(meta.get("data", "")),
        f"beside {', '.join(peers)}" if peers and facts.models else "",
        str(meta.get("created", ""))[:10],
    ]
    sections = [section for section in _sections(facts, meta) if section.blocks]
    return render_page(
        "evaluation.html",
        title=f"Evaluation of {', '.join(facts.models or facts.codecs)}",
        subtitle=" · ".join(filter(None, about)),
        badges=_badges(facts, meta),
        failed=summary["about"]["failed_rows"],
        findings=findings(facts),
        sections=sections,
        examples=list(_shown_examples(examples)),
        failures=list(tables.failures(facts, meta.get("skipped", {}))),
        command=shlex.join(meta.get("command", ())),
        origin=_origin(facts, meta),
        glossary=GLOSSARY,
        columns=summary["scores"],
        symbols=SYMBOLS,
    )


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading of its own; left out without blocks."""

    title: str
    lead: str
    blocks: list[Table | Panels]


def _sections(facts: Facts, meta: Entry) -> Iterator[Section]:
    about = facts.summary["about"]
    yield Section(
        "Means",
        f"Below each mean is its {text.percent(about['level'])} interval, from resampling"
        f" {about['speakers']} speakers. The number of values is shown on hovering.",
        list(tables.means(facts)),
    )
    yield Section(
        "Quality over bitrate",
        "Compared with what went into the codec. Bars are intervals.",
        list(curves.over_bitrate(facts)),
    )
    yield Section(
        "Bits for the same quality",
        f"How many more (+) or fewer ({text.MINUS}) bits the model needs for the quality of the other codec,"
        " over the range of quality that both reach. Colored where the interval excludes 0. A small shared"
        " range says little.",
        [*tables.equal_quality(facts), *tables.differences(facts)],
    )
    yield Section(
        "Noise",
        "One chart for each noise, with every codec at its nearest bitrate. Shades are intervals.",
        [*curves.over_snr(facts), *tables.all_noises(facts), *tables.falls(facts)],
    )
    yield Section(
        "Every condition",
        "Means; the stronger the color, the higher the value. Intervals are shown on hovering.",
        list(tables.conditions(facts)),
    )
    yield Section("Languages", "", list(tables.languages(facts)))


def _badges(facts: Facts, meta: Entry) -> list[str]:
    """How much was measured."""
    about, languages = facts.summary["about"], meta.get("languages") or []
    return [
        f"{about['files']} files",
        f"{about['speakers']} speakers",
        *([f"{len(languages)} languages"] if len(languages) > 1 else []),
        *([f"{meta['seconds'] / 60:.1f} minutes of sound"] if meta.get("seconds") else []),
        f"{len(facts.conditions)} conditions",
        f"{len(facts.codecs)} codecs",
        f"{about['rows']} rows",
    ]


def _shown_examples(examples: Iterable[Example]) -> Iterator[dict[str, Any]]:
    """Sounds and pictures as data URIs, until the page would grow too large."""
    size = 0
    for number, example in enumerate(examples):
        rate = example.sample_rate
        part = media.busiest(example.sounds[0].wav, rate, MAX_SECONDS)
        wavs = [sound.wav[part] for sound in example.sounds]
        loudest = media.loudest(wavs, rate)
        sounds = [
            {
                "title": sound.title,
                "note": sound.note,
                "sound": media.sound_uri(wav, rate),
                "picture": media.spectrogram_uri(wav, rate, loudest),
            }
            for sound, wav in zip(example.sounds, wavs, strict=True)
        ]
        size += sum(len(sound["sound"]) + len(sound["picture"]) for sound in sounds)
        if number and size > MAX_BYTES:
            return
        span = f"0 to {rate / 2000:g} kHz, {(part.stop - part.start) / rate:.1f} s"
        yield {"title": example.title, "lead": f"{example.lead} · {span}", "sounds": sounds}


def _origin(facts: Facts, meta: Entry) -> dict[str, Any]:
    """Data, machine, versions, and how the numbers came about."""
    about, environment = facts.summary["about"], meta.get("environment", {})
    machine = (
        environment.get("system"),
        f"{environment.get('cores')} cores",
        f"Python {environment.get('python')}",
    )
    took = ""
    if meta.get("elapsed_seconds"):
        reused = f", {meta['reused_rows']} rows taken from an earlier run" if meta.get("reused_rows") else ""
        took = f"{meta['elapsed_seconds']:.0f} s with {meta.get('workers', 1)} processes{reused}"
    lines = {
        "Data": meta.get("data"),
        "Written": meta.get("created"),
        "Duration": took,
        "Machine": ", ".join(map(str, machine)) if environment else "",
        "Versions": ", ".join(
            f"{name} {version}" for name, version in environment.get("packages", {}).items()
        ),
        "Codecs": "; ".join(_identity(codec) for codec in meta.get("codecs", [])),
        "Intervals": f"{text.percent(about['level'])}, bootstrap: {about['resamples']} resamples of the"
        f" {about['speakers']} speakers with all their files, seed {about['seed']}",
        "Noise and rooms": "drawn from the name of the noise and the content of the file: the same samples on"
        " every machine, and the same noise at every SNR",
        "Bitrates": "measured: coded bits divided by seconds, without the headers of files"
        + (f"; those asked for where the codec is {', '.join(facts.uncounted)}" if facts.uncounted else ""),
    }
    return {name: value for name, value in lines.items() if value}


def _identity(codec: Entry) -> str:
    if codec.get("peer"):
        return f"{codec['name']} (peer)"
    return f"{codec['name']} (model {codec.get('model_id')}, codebook {codec.get('codebook')})"
