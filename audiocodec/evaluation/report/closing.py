"""The rest of the page: the worst files to hear, languages, what failed, how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from html import escape

from audiocodec.evaluation.report import text
from audiocodec.evaluation.report.examples import Example
from audiocodec.evaluation.report.facts import Entry, Facts
from audiocodec.evaluation.report.headline import judge
from audiocodec.evaluation.report.style import codec_cell, table
from audiocodec.report import media

MAX_SECONDS = 6.0
MAX_BYTES = 8_000_000
"""Of all sounds and pictures together."""
MAX_LINES = 40
"""Of a list of failures."""


def worst(examples: Iterable[Example]) -> str:
    """Players and spectrograms, until the page would grow too large."""
    blocks: list[str] = []
    size = 0
    for example in examples:
        block = _example(example)
        size += len(block)
        if blocks and size > MAX_BYTES:
            break
        blocks.append(block)
    return f'<div class="examples">{"".join(blocks)}</div>' if blocks else ""


def _example(example: Example) -> str:
    found, rate = example.worst, example.sample_rate
    part = media.busiest(example.sounds[0].wav, rate, MAX_SECONDS)
    wavs = [sound.wav[part] for sound in example.sounds]
    loudest = media.loudest(wavs, rate)
    digits = text.digits(found.score)
    figures = "".join(
        f"<figure><figcaption>{escape(sound.title)}<br>"
        f"<small>{escape(sound.note) or '&nbsp;'}</small></figcaption>"
        f'<img src="{media.spectrogram_uri(wav, rate, loudest)}" alt="Spectrogram of {escape(sound.title)}">'
        f'<audio controls preload="none" src="{media.sound_uri(wav, rate)}"></audio></figure>'
        for sound, wav in zip(example.sounds, wavs, strict=True)
    )
    return (
        f'<div class="card"><h3>{escape(text.sentence(text.condition_title(found.condition)))}: '
        f"{escape(found.codec)} at {text.kilobits(found.bitrate)} kbit/s</h3>"
        f'<p class="soft">{escape(found.file)} · {text.title(found.score)}'
        f" {text.number(found.value, digits)},"
        f" where the mean of all files is {text.number(found.mean, digits)} ·"
        f" 0 to {rate / 2000:g} kHz, {(part.stop - part.start) / rate:.1f} s</p>"
        f'<div class="sounds">{figures}</div></div>'
    )


def languages(facts: Facts) -> str:
    """Means of each language over all conditions."""
    found = list(dict.fromkeys(entry["language"] for entry in facts.summary["languages"]))
    score = judge(facts)
    if not found or score is None:
        return ""
    entries = {
        (entry["language"], entry["codec"], entry["nominal_bitrate"]): entry["scores"].get(score)
        for entry in facts.summary["languages"]
    }
    heads = "".join(f"<th>{escape(language)}</th>" for language in found)
    lines = "".join(
        f"<tr>{codec_cell(f'{escape(facts.label(point))} kbit/s', facts.color(point[0]))}"
        + "".join(text.cell(entries.get((language, *point)), text.digits(score)) for language in found)
        + "</tr>"
        for point in facts.points
    )
    return (
        f'<p class="soft">{text.title(score)} {text.against(score)}, mean over all conditions.</p>'
        + table(f"<tr><th></th>{heads}</tr>", lines)
    )


def failures(facts: Facts, skipped: dict[str, str]) -> str:
    """What has no scores, and why."""
    rows = _reasons(
        ("Codec", "Condition", "Rows", "Why there are no scores"),
        [
            (one["codec"], text.condition_title(one["condition"]), one["rows"], one["reason"])
            for one in facts.summary["failures"]
        ],
    )
    missing = _reasons(
        ("Codec", "Score", "Rows", "Why it is missing"),
        [(one["codec"], one["column"], one["rows"], one["reason"]) for one in facts.summary["missing"]],
    )
    left_out = _reasons(("Left out", "Why"), list(skipped.items()))
    parts = [
        ("<p>Every row has its scores.</p>" if not rows else f"<h4>Rows without scores</h4>{rows}"),
        f"<h4>Scores that could not be computed</h4>{missing}" if missing else "",
        f"<h4>Asked for, and not run</h4>{left_out}" if left_out else "",
    ]
    return "".join(parts)


def _reasons(heads: tuple[str, ...], lines: Sequence[Sequence[str | int]]) -> str:
    if not lines:
        return ""
    head = "".join(f"<th{' class=left' if name not in ('Rows',) else ''}>{name}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(_reason_cells(line))}</tr>" for line in lines[:MAX_LINES])
    more = (
        f"<p class=soft>and {len(lines) - MAX_LINES} more, in summary.json</p>"
        if len(lines) > MAX_LINES
        else ""
    )
    return table(f"<tr>{head}</tr>", body) + more


def _reason_cells(line: Sequence[str | int]) -> Iterable[str]:
    for at, value in enumerate(line):
        kind = "" if isinstance(value, int) else "wrap" if at == len(line) - 1 else "left"
        yield f'<td class="{kind}">{escape(str(value))}</td>'


def made(facts: Facts, meta: Entry) -> str:
    """Command, data, machine, versions, and how to read the numbers."""
    about, environment = facts.summary["about"], meta.get("environment", {})
    packages = environment.get("packages", {})
    lines = {
        "Data": meta.get("data"),
        "Written": meta.get("created"),
        "Took": _took(meta),
        "Machine": ", ".join(
            str(value)
            for value in (
                environment.get("system"),
                f"{environment.get('cores')} cores",
                f"Python {environment.get('python')}",
            )
        )
        if environment
        else None,
        "Versions": ", ".join(f"{name} {version}" for name, version in packages.items()),
        "Codecs": "; ".join(_identity(codec) for codec in meta.get("codecs", [])),
        "Intervals": f"{text.percent(about['level'])}, bootstrap: {about['resamples']} resamples of the"
        f" {about['speakers']} speakers with all their files, seed {about['seed']}",
        "Noise and rooms": "drawn from the name of the noise and the content of the file: the same samples on"
        " every machine, and the same noise at every SNR",
        "Bitrates": "coded bits divided by seconds, measured, without the headers of files"
        + (f"; of {', '.join(facts.uncounted)} those asked for" if facts.uncounted else ""),
    }
    facts_list = "".join(
        f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in lines.items() if value
    )
    command = f"<pre>{escape(shlex.join(meta['command']))}</pre>" if meta.get("command") else ""
    return f'<div class="card">{command}<dl>{facts_list}</dl></div>{_glossary(facts)}'


def _took(meta: Entry) -> str | None:
    if not meta.get("elapsed_seconds"):
        return None
    reused = f", {meta['reused_rows']} rows taken from an earlier run" if meta.get("reused_rows") else ""
    return f"{meta['elapsed_seconds']:.0f} s with {meta.get('workers', 1)} processes{reused}"


def _identity(codec: Entry) -> str:
    if codec.get("peer"):
        return f"{codec['name']} (peer)"
    identity = [f"model {codec.get('model_id')}", f"codebook {codec.get('codebook')}"]
    return f"{codec['name']} ({', '.join(identity)})"


def _glossary(facts: Facts) -> str:
    terms = {
        "Against what went in": "The decoded sound is compared with what the codec was given, noise and all:"
        " transparency.",
        "Against the clean original": "It is compared with the speech before noise was added: what a listener"
        " gets of it. No codec can be expected to be above the line “no codec”.",
        "Bits for the same quality": "Bjontegaard delta rate: the mean difference of the logarithm of the"
        " bitrate over the qualities both codecs reach, between the measured bitrates by monotone cubics.",
        "PESQ-WB": "ITU-T P.862.2 at 16 kHz, 1.0 to 4.6. PESQ and STOI follow listeners less closely for"
        " neural codecs than for those they were made for: use your ears as well.",
        "RTF": "Processor seconds for a second of sound.",
    }
    found = "".join(f"<dt>{name}</dt><dd>{meaning}</dd>" for name, meaning in terms.items())
    scores = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(about['meaning'])} {escape(about['unit'])}</dd>"
        for name, about in facts.summary["scores"].items()
    )
    return (
        f"<h4>How to read the numbers</h4><dl>{found}</dl>"
        f"<details><summary>All columns of the table</summary><dl>{scores}</dl></details>"
    )
