"""Make a page on which people hear a model beside other codecs: players, scores, spectrograms.

Usage: python tools/release/listening_page.py --data CORPUS/manifest.csv [--model speech-16k] [--lyra FOLDER]
       [-o docs/listen]

Recordings are chosen by rule, not by ear: of the `test` split, the first one of 4 to 6 s of each of the
first four LibriSpeech speakers, the first one in --language, and one of a fifth speaker in --noise at 10 dB.
Those with a constant offset click when played and are passed over. The model is heard at the steps of its
ladder whose files come nearest to 3.2 and 6.2 kbit/s, Lyra v2 at 3.2 and 6 kbit/s, Opus at 6 and 9. It needs
`pip install 'audiocodec[evaluate,peers,scores]'`; a peer that cannot be run is left out, with a line.

Writes index.html and sounds/; sounds and pictures of an earlier page are removed from there. Credits come
from the table in the README.md beside the manifest.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from audiocodec import audio
from audiocodec.corpus.manifest import read_lines
from audiocodec.effects.noise import add_at_snr
from audiocodec.errors import InputError, MetricError, PeerUnavailable
from audiocodec.evaluation.coders import Coder, ModelCoder
from audiocodec.evaluation.peers import PeerOptions, open_peer
from audiocodec.evaluation.report import text
from audiocodec.metrics import METRICS, Metric, choose_metrics
from audiocodec.report import media
from audiocodec.report.page import render as render_page

Wav = NDArray[np.float32]

RATE = 16000
SHORTEST, LONGEST = 4.0, 6.0
SPEAKERS, SNR_DB = 4, 10.0
MOST_OFFSET = 0.01
TARGETS = (3200.0, 6200.0)
PEERS = {"lyra": ("Lyra v2", (3200.0, 6000.0)), "opus": ("Opus", (6000.0, 9000.0))}
SCORES = ("distillmos", "dnsmos_p808", "pesq_wb")
MOST_BYTES = 6_000_000
LANGUAGES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "zh": "Mandarin",
    "ar": "Arabic",
    "es": "Spanish",
}
LICENCES = {
    "CC-BY-4.0": ("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    "CC-BY-3.0": ("CC BY 3.0", "https://creativecommons.org/licenses/by/3.0/"),
    "CC0-1.0": ("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "Apache-2.0": ("Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),
}
STYLE = """
a{color:#0b63b5}small{overflow-wrap:anywhere}
.rows{margin-top:8px}
.row{display:grid;grid-template-columns:140px 236px minmax(200px,1fr) auto;gap:4px 16px;align-items:center;
padding:8px 0 8px 12px;border-top:1px solid var(--line);border-left:3px solid var(--own,var(--soft))}
.row b,.row small{display:block}.row b{font-weight:600;overflow-wrap:anywhere}
.row img{display:block;width:100%;height:66px;border-radius:4px}
.row audio{display:block;width:100%;min-width:0;height:38px}
.row dl{display:flex;gap:12px;margin:0}.row dl div{min-width:58px;text-align:right}
.row dt{font-size:11.5px;white-space:nowrap}.row dd{font-variant-numeric:tabular-nums}
.card+.card{margin-top:16px}.card h3{font-size:16px}
.bar{display:inline-block;width:110px;height:10px;border-radius:3px;margin:0 6px;vertical-align:-1px}
@media(max-width:900px){.row{grid-template-columns:minmax(0,1fr);gap:7px;padding:10px 0 12px 10px}
.row>div{display:flex;align-items:baseline;gap:10px}.row img{height:84px}
.row dl{justify-content:space-between;order:1}.row dl div{min-width:0;text-align:left}
.bar{width:70px}}
@media(max-width:560px){.wide th{white-space:normal}.wide th,.wide td{padding:5px 4px}
.wide th:first-child,.wide td:first-child{position:static}i.key{margin-right:5px}}
"""
ONE_AT_A_TIME = (
    '<script>document.addEventListener("play",function(e){document.querySelectorAll("audio").forEach('
    "function(a){if(a!==e.target)a.pause()})},true)</script>"
)


@dataclass(frozen=True)
class Clip:
    """A line of the manifest."""

    name: str
    path: Path
    kind: str
    source: str
    speaker: str
    language: str
    seconds: float
    licence: str


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class Recording:
    """What is coded: [L] at RATE, and the clips it was made of."""

    title: str
    wav: Wav
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class Variant:
    """A codec at one bitrate; `ours` has its whole file counted, and a star where its losses imitate."""

    key: str
    label: str
    coder: Coder
    bitrate: float
    color: int
    ours: bool


@dataclass(frozen=True, eq=False)
class Sound:
    """One row: what is heard, the bits it took (None: not coded), and its scores; None for one it lacks."""

    wav: Wav
    bits: int | None
    scores: dict[str, float | None]


@dataclass
class Page:
    """All that is written: `sounds` has a list a recording, first the original, then one a variant."""

    recordings: list[Recording]
    variants: list[Variant]
    metrics: Sequence[Metric]
    imitated: Sequence[str]
    left_out: list[str]
    sounds: list[list[Sound]] = field(default_factory=list[list[Sound]])


def read_clips(manifest: Path, split: str) -> list[Clip]:
    """Speech and noise of a split, in the order of the manifest."""
    clips: list[Clip] = []
    for _, columns in read_lines(manifest):
        values = {name: str(value or "") for name, value in columns.items()}
        path = manifest.parent / values["path"]
        if values.get("split", split) != split or values.get("kind", "speech") not in ("", "speech", "noise"):
            continue
        kind, source, speaker, language, licence = (
            values.get(name, "") for name in ("kind", "source", "speaker", "language", "licence")
        )
        seconds = float(values.get("seconds") or 0) or audio.info(path).seconds
        clips.append(
            Clip(values["path"], path, kind or "speech", source, speaker, language, seconds, licence)
        )
    return clips


def first_of_speakers(clips: Sequence[Clip]) -> list[Clip]:
    """One of each speaker: the first that is neither too short nor too long, else the first long one."""
    chosen: dict[str, Clip] = {}
    for clip in clips:
        known = chosen.get(clip.speaker)
        if clip.seconds >= SHORTEST and (known is None or known.seconds > LONGEST >= clip.seconds):
            chosen[clip.speaker] = clip
    return sorted(chosen.values(), key=lambda clip: clip.seconds > LONGEST)


def load(clip: Clip) -> Wav:
    """The first channel at RATE, at most LONGEST seconds, at the level it has."""
    wav, rate = audio.read(clip.path)
    return audio.resample(wav[:1], rate, RATE)[0, : round(LONGEST * RATE)]


def centered(clip: Clip) -> bool:
    """Whether the samples lie around zero, as sound does."""
    return bool(abs(load(clip).mean()) <= MOST_OFFSET)


def choose_recordings(
    clips: Sequence[Clip], source: str, language: str, noise: str
) -> tuple[list[Recording], list[str]]:
    """The recordings, and a line for each kind there is none of.

    Raises:
        InputError: there is no speech of `source`.
    """
    speech = [clip for clip in clips if clip.kind == "speech"]
    plain = first_of_speakers([clip for clip in speech if clip.source == source and centered(clip)])
    if not plain:
        raise InputError(f"no speech of {source!r} that lasts {SHORTEST:g} s; name another --source")
    found = [
        Recording(f"{_language(clip)}, speaker {clip.speaker}", load(clip), (clip,))
        for clip in plain[:SPEAKERS]
    ]
    lines: list[str] = []
    foreign = first_of_speakers([clip for clip in speech if clip.language == language and centered(clip)])
    if foreign:
        clip = foreign[0]
        found.append(Recording(f"{_language(clip)}, speaker {clip.speaker}", load(clip), (clip,)))
    else:
        lines.append(f"The corpus has no speech in {LANGUAGES.get(language, language)}.")
    noises = [clip for clip in clips if clip.kind == "noise"]
    if noises:
        clip = plain[min(SPEAKERS, len(plain) - 1)]
        other = next((clip for clip in noises if noise in clip.name), noises[0])
        found.append(_in_noise(clip, other))
    else:
        lines.append("The corpus has no noise to mix with speech.")
    return found, lines


def _language(clip: Clip) -> str:
    return LANGUAGES.get(clip.language, clip.language or "Speech")


def _in_noise(clip: Clip, noise: Clip) -> Recording:
    """Speech with the beginning of a noise, which starts over where it is shorter."""
    wav = load(clip)
    mixed = add_at_snr(wav, np.resize(load(noise), wav.shape), SNR_DB, RATE).astype(np.float32)
    what = noise.speaker.removeprefix("noise_").replace("-", " ").replace("_", " ") or "noise"
    title = f"{_language(clip)}, speaker {clip.speaker}, in noise ({what}, {SNR_DB:g} dB)"
    return Recording(title, mixed, (clip, noise))


def nearest_step(model: ModelCoder, wav: Wav, target: float) -> float:
    """The step of the ladder whose file of this sound comes nearest to `target` bit/s, by ratio."""

    def miss(bitrate: float) -> float:
        size = len(model.codec.compress(wav, RATE, bitrate))
        return abs(math.log(8 * size * RATE / len(wav) / target))

    ladder = sorted(model.codec.bitrates, key=lambda bitrate: abs(math.log(bitrate / target)))
    return min(ladder[:3], key=miss)  # headers and checksums move it by no more


def make_variants(
    model: ModelCoder, wav: Wav, peers: Sequence[str], lyra: Path | None
) -> tuple[list[Variant], list[str]]:
    """The codecs that are heard, and a line for each that cannot be run."""
    steps = sorted({nearest_step(model, wav, target) for target in TARGETS})
    name = model.name
    found = [Variant(f"ours-{step:.0f}", name, model, step, 0, True) for step in steps]
    lines: list[str] = []
    options = PeerOptions(folders={} if lyra is None else {"lyra": lyra})
    for color, peer in enumerate(peers, 1):
        label, bitrates = PEERS[peer]
        if peer == "lyra" and lyra is None:
            lines.append(f"{label} is left out: its graphs were not given (--lyra FOLDER).")
            continue
        try:
            coder = open_peer(peer, options)
        except PeerUnavailable as error:
            lines.append(f"{label} is left out: {error}.")
            continue
        found += [Variant(f"{peer}-{rate:.0f}", label, coder, rate, color, False) for rate in bitrates]
    return found, lines


def make_sounds(recording: Recording, variants: Sequence[Variant], metrics: Sequence[Metric]) -> list[Sound]:
    """The original and what each codec makes of it, scored against what went in."""
    blind = [metric for metric in metrics if metric.needs == "none"]
    sounds = [Sound(recording.wav, None, score(recording.wav, recording.wav, blind))]
    for variant in variants:
        coded = variant.coder.code(recording.wav, RATE, variant.bitrate)
        bits = 8 * coded.size if variant.ours else coded.payload_bits
        sounds.append(Sound(coded.wav, bits, score(recording.wav, coded.wav, metrics)))
    return sounds


def score(reference: Wav, estimate: Wav, metrics: Sequence[Metric]) -> dict[str, float | None]:
    """Scores by name; None where one cannot be computed."""
    found: dict[str, float | None] = {}
    for metric in metrics:
        try:
            found[metric.name] = metric(reference, estimate, RATE)
        except MetricError:
            found[metric.name] = None
    return found


def write_media(content: Page, folder: Path) -> list[list[str]]:
    """Write FLAC and PNG beneath `folder`/sounds and remove older ones; their names without ending."""
    target = folder / "sounds"
    target.mkdir(parents=True, exist_ok=True)
    for old in [*target.glob("*.flac"), *target.glob("*.png")]:
        old.unlink()
    loudest = media.loudest([recording.wav for recording in content.recordings], RATE)
    keys = ["original", *(variant.key for variant in content.variants)]
    names: list[list[str]] = []
    for number, (recording, sounds) in enumerate(zip(content.recordings, content.sounds, strict=True), 1):
        stem = recording.clips[0].path.stem
        names.append([f"sounds/{number}-{stem}-{key}" for key in keys])
        for name, sound in zip(names[-1], sounds, strict=True):
            audio.write(folder / f"{name}.flac", sound.wav[None], RATE)
            picture = media.spectrogram_png(sound.wav, RATE, loudest)
            (folder / f"{name}.png").write_bytes(picture)
    return names


def means(content: Page) -> str:
    """A table of means over the recordings: bits by seconds, scores by recording."""
    heads = "".join(f"<th>{text.title(metric.name)}</th>" for metric in content.metrics)
    seconds = sum(len(recording.wav) for recording in content.recordings) / RATE
    lines = ""
    for at, variant in enumerate([None, *content.variants]):
        column = [sounds[at] for sounds in content.sounds]
        values = [_mean([sound.scores.get(metric.name) for sound in column]) for metric in content.metrics]
        cells = "".join(
            f"<td>{_figure(content, variant, metric, value)}</td>"
            for metric, value in zip(content.metrics, values, strict=True)
        )
        bits = sum(sound.bits or 0 for sound in column)
        rate = "" if variant is None else f"{bits / seconds / 1000:.2f}"
        label = "Original" if variant is None else f"{escape(variant.label)} at {variant.bitrate / 1000:g}"
        key = "" if variant is None else f'<i class="key s{variant.color}"></i>'
        first = f"<td>{key}{label}</td>"
        lines += f"<tr>{first}<td>{rate or text.DASH}</td>{cells}</tr>"
    return (
        '<div class="card wide"><table><thead>'
        f"<tr><th>Mean of {len(content.recordings)}</th><th>kbit/s</th>{heads}</tr></thead>"
        f"<tbody>{lines}</tbody></table></div>"
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _figure(content: Page, variant: Variant | None, metric: Metric, value: float | None) -> str:
    """A score as it is shown, with a star where a loss of the model imitates it."""
    star = "*" if variant and variant.ours and value is not None and metric.name in content.imitated else ""
    return text.number(value, text.digits(metric.name)) + star


def card(content: Page, at: int, names: Sequence[str]) -> str:
    """One recording: a row for the original and one for each codec."""
    recording = content.recordings[at]
    seconds = len(recording.wav) / RATE
    rows = ""
    for variant, sound, name in zip([None, *content.variants], content.sounds[at], names, strict=True):
        label = "Original" if variant is None else variant.label
        below = "what went in" if sound.bits is None else f"{sound.bits / seconds / 1000:.2f} kbit/s"
        figures = "".join(
            f"<div><dt>{text.title(metric.name)}</dt>"
            f"<dd>{_figure(content, variant, metric, sound.scores.get(metric.name))}</dd></div>"
            for metric in content.metrics
        )
        hint = escape(f"{label}, {below}, of {recording.title}")
        rows += (
            f'<div class="row{f" s{variant.color}" if variant else ""}">'
            f"<div><b>{escape(label)}</b><small>{below}</small></div>"
            f'<img src="{escape(name)}.png" alt="Spectrogram: {hint}" loading="lazy">'
            f'<audio controls preload="none" src="{escape(name)}.flac" aria-label="{hint}"></audio>'
            f"<dl>{figures}</dl></div>"
        )
    files = " and ".join(f"{escape(clip.path.name)} ({licence(clip)})" for clip in recording.clips)
    return (
        f'<section class="card"><h3>{at + 1}. {escape(recording.title)}</h3>'
        f'<p class="soft">{seconds:.1f} s · {files}</p><div class="rows">{rows}</div></section>'
    )


def licence(clip: Clip) -> str:
    """The licence of a clip, as a link where its text is known; as HTML."""
    for name, (title, address) in LICENCES.items():
        if clip.licence.startswith(name):
            return f'<a href="{address}">{title}</a>'
    return escape(clip.licence.replace("-", " ")) or "licence not stated"


def credit_lines(content: Page, readme: Path) -> str:
    """Where the recordings come from, by the table of the corpus's README; as HTML."""
    origins: dict[str, str] = {}
    for line in readme.read_text("utf-8").splitlines() if readme.is_file() else ():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) >= 3:
            origins |= {name.strip(): cells[1] for name in cells[0].split(",")}
    clips = {clip.name: clip for recording in content.recordings for clip in recording.clips}
    groups: dict[tuple[str, str], list[str]] = {}
    for clip in clips.values():
        groups.setdefault((origins.get(clip.source, clip.source), licence(clip)), []).append(clip.name)
    lines = "".join(
        f"<li>{escape(origin)}; {terms}.<br><small>{escape(', '.join(names))}</small></li>"
        for (origin, terms), names in groups.items()
    )
    return (
        '<p class="soft">Changes: resampled to 16 kHz, clips of one speaker joined; here cut to'
        f" {LONGEST:g} s where longer, mixed with noise where that is said, coded and decoded.</p>"
        f'<ul class="says card">{lines}</ul>'
    )


def notes(content: Page, model: ModelCoder) -> str:
    """How to read the numbers; as HTML."""
    name = escape(model.name)
    flattered = [text.title(metric.name) for metric in content.metrics if metric.name in content.imitated]
    if flattered:
        imitation = (
            f"* A loss that {name} was trained by imitates {' and '.join(flattered)}, so there it may score"
            " better than it sounds; the other scores, and your ears, are the judges."
        )
    elif "imitates" in model.codec.metadata:
        imitation = f"No loss that {name} was trained by imitates one of these scores."
    else:
        imitation = (
            f"The file of {name} does not say which scores its training imitated; its card may, and a score"
            " that was imitated says too much."
        )
    counted = (
        f"Bitrates are measured. Of {name} every byte of the file counts, headers and checksums included; of"
        " the others the coded payload alone, without a container."
    )
    lines = [
        imitation,
        counted,
        f"Scores compare with what went in, noise included; {_blind(content.metrics)}",
        "Levels are as they came out: nothing is normalized. Sounds are FLAC, 16 bit, 16 kHz mono, which"
        " adds and takes nothing.",
        "The recordings were chosen by a rule, not by ear, from speakers kept out of training. So few are"
        " enough to hear what a codec does and too few to rank codecs: docs/studies/sound.md does that.",
        *content.left_out,
    ]
    return f'<ul class="says card">{"".join(f"<li>{line}</li>" for line in lines)}</ul>'


def _blind(metrics: Sequence[Metric]) -> str:
    names = [text.title(metric.name) for metric in metrics if metric.needs == "none"]
    if not names:
        return "higher is better unless said."
    return (
        f"{' and '.join(names)} listen{'s' if len(names) == 1 else ''} to the result alone. Higher is better."
    )


def render(content: Page, model: ModelCoder, names: Sequence[Sequence[str]], command: str, data: Path) -> str:
    """The page as text."""
    title = f"Listen to {model.name}"
    peers = list(dict.fromkeys(variant.label for variant in content.variants if not variant.ours))
    beside = f" beside {' and '.join(peers)}" if peers else ""
    cards = "".join(card(content, at, names[at]) for at in range(len(content.recordings)))
    stops = ",".join(f"rgb{color}" for color in media.shades()[::9])
    scale = (
        f'<p class="soft">Pictures: time to the right, 0 to {RATE // 2000} kHz upwards, one scale for all:'
        f' {text.MINUS}{media.RANGE_DB:g} dB<span class="bar" role="img" aria-label="from dark to bright"'
        f' style="background:linear-gradient(90deg,{stops})"></span>0 dB, the loudest of the originals.</p>'
    )
    identity = {
        "Model": model.name,
        "Model identity": model.codec.model_id,
        "Codebooks": model.codec.codebook_id,
        "Made on": date.today().isoformat(),
    }
    made = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in identity.items())
    body = (
        f"<h1>{escape(title)}</h1>"
        f'<p class="soft">{escape(beside.strip() or "at two bitrates")} · {identity["Made on"]} · model'
        f" {model.codec.model_id[:12]}</p>"
        f"{means(content)}{notes(content, model)}<h2>Recordings</h2>{scale}{cards}"
        f"<h2>Credits</h2>{credit_lines(content, data.parent / 'README.md')}"
        f'<h2>How this was made</h2><div class="card"><dl>{made}</dl><pre>{escape(command)}</pre></div>'
        + ONE_AT_A_TIME
    )
    return render_page("page.html", title=title, style=Markup(STYLE), body=Markup(body))


def shown_command(options: argparse.Namespace) -> str:
    """The command, with places outside this folder by their last two names."""

    def place(value: Path) -> str:
        return "/".join(value.parts[-2:]) if value.is_absolute() or ".." in value.parts else value.as_posix()

    parts = ["python tools/release/listening_page.py", f"--data {place(options.data)}"]
    model = Path(options.model)
    parts.append(f"--model {place(model)}")
    parts += [f"--lyra {place(options.lyra)}"] if options.lyra else []
    for name, default in DEFAULTS.items():
        value = getattr(options, name)
        parts += [f"--{name} {value or repr(value)}"] if value != default else []
    return " ".join([*parts, f"-o {place(options.output)}"])


DEFAULTS = {
    "split": "test",
    "source": "librispeech",
    "language": "de",
    "noise": "coffee-shop",
    "peers": "lyra,opus",
    "scores": ",".join(SCORES),
    "imitated": "",
}
HELPS = {
    "split": "of the manifest",
    "source": "whose speakers are heard first",
    "language": "of the fifth recording",
    "noise": "part of the name of the noise; the first noise where there is none such",
    "peers": f"of {', '.join(PEERS)}; '' for none",
    "scores": f"of {', '.join(METRICS)}",
    "imitated": "scores to star beside those that the model names itself",
}


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="manifest of a corpus")
    parser.add_argument("--model", default="speech-16k", help="name or folder")
    parser.add_argument("--lyra", type=Path, help="folder of Lyra's three .tflite files")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/listen"))
    for name, default in DEFAULTS.items():
        parser.add_argument(
            f"--{name}", default=default, help=f"{HELPS[name]} (default: {default or 'none'})"
        )
    options = parser.parse_args()
    unknown = {name for name in options.peers.split(",") if name} - set(PEERS)
    if unknown:
        parser.error(f"no peer {', '.join(sorted(unknown))}; choose from {', '.join(PEERS)}")
    return options


def main() -> None:
    """Choose, code, score, write."""
    options = read_options()
    metrics = choose_metrics([name for name in options.scores.split(",") if name])
    clips = read_clips(options.data, options.split)
    recordings, missing = choose_recordings(clips, options.source, options.language, options.noise)
    model = ModelCoder(options.model)
    peers = [name for name in options.peers.split(",") if name]
    variants, left_out = make_variants(model, recordings[0].wav, peers, options.lyra)
    imitated = [*model.imitates, *options.imitated.split(",")]
    content = Page(recordings, variants, metrics, imitated, left_out + missing)
    for recording in recordings:
        content.sounds.append(make_sounds(recording, variants, metrics))
        print(recording.title, file=sys.stderr)
    names = write_media(content, options.output)
    target = options.output / "index.html"
    target.write_text(render(content, model, names, shown_command(options), options.data), "utf-8")
    size = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file())
    print(f"{target}: {size / 1e6:.1f} MB, {time.process_time():.0f} processor seconds")
    if size > MOST_BYTES:
        sys.exit(f"the folder is larger than {MOST_BYTES / 1e6:g} MB; choose shorter recordings")


if __name__ == "__main__":
    main()
