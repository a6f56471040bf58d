"""`report.html` of a run folder: what its log says, drawn, with the circumstances of the run."""

from __future__ import annotations

import logging
import math
import os
import platform
from dataclasses import dataclass, field
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, cast

import torch

from audiocodec.config import dump_yaml
from audiocodec.outside import MALFORMED, lines, parse_json
from audiocodec.storage import new_file
from audiocodec.training.run.charts import COLORS, Line, heat_map, legend, line_chart, number, sparkline
from audiocodec.training.run.folder import LOG_NAME, REPORT_NAME
from audiocodec.training.run.page import page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from audiocodec.training.config import TrainConfig

PACKAGES = ("audiocodec", "torch", "torchaudio", "numpy", "accelerate")
MAX_LINE_BYTES = 1 << 20
MAX_STEP = 1 << 53
LARGEST = 1e30
"""Of what can be drawn."""
LOSSES = {
    "total": "total: what is minimized",
    "mel": "mel: log-mel difference",
    "spectrum": "spectrum: compressed STFT",
    "waveform": "waveform",
    "loudness": "loudness",
    "intelligibility": "intelligibility",
    "commitment": "commitment",
    "adversarial": "adversarial: the codec's side",
    "feature": "feature matching",
    "discriminator": "discriminator: its own loss",
    "grad_norm": "gradient norm, before clipping",
    "learning_rate": "learning rate",
    "audio_seconds_per_second": "audio seconds a second",
}
LOGARITHMIC = {"grad_norm"}
METRICS = {"pesq_wb": "PESQ-WB", "stoi": "STOI", "si_sdr": "SI-SDR, dB"}
JUDGES = {
    "distillmos": "Distill-MOS: no reference",
    "dnsmos_p808": "DNSMOS P.808: no reference",
    "frame_lock": "Frame lock, dB: 0 is natural",
}
MAX_COLUMNS = 60
"""Validations that a heat map shows; of more, every so many."""
NAMED = 200
"""Files left out that the page names."""

Curve = list[tuple[float, float]]


@dataclass
class Curves:
    """The log by group and name: (step, value) in order of steps."""

    train: dict[str, Curve] = field(default_factory=dict[str, "Curve"])
    valid: dict[str, Curve] = field(default_factory=dict[str, "Curve"])


logger = logging.getLogger(__name__)


def write_report(
    folder: Path, config: TrainConfig, device: torch.device, skipped: Mapping[str, str], skips: int = 0
) -> None:
    """Write the page from the log of `folder`.

    `skipped` are recordings left out, with the reason; `skips` is how often the run met one of them, which
    is more than once where recordings are read while training.
    """
    curves = read_log(folder / LOG_NAME)
    sections = [
        _header(config, curves),
        _losses(curves),
        _scores(curves),
        _environments(curves),
        _codebooks(curves, config),
        _circumstances(config, device),
        _skipped(skipped, skips),
    ]
    with new_file(folder / REPORT_NAME, overwrite=True) as part:
        part.write_text(page(f"{escape(config.name)}: training", "".join(sections)), encoding="utf-8")


def read_log(path: Path) -> Curves:
    """Read the curves of a log; lines that are none are named, and left out."""
    curves = Curves()
    with path.open("rb") as file:
        for number, line in enumerate(lines(file, MAX_LINE_BYTES), 1):
            try:
                group, step, values = _parse_line(line or b"")
            except MALFORMED as error:
                logger.warning("%s, line %d: no line of a log (%s); left out", path, number, error)
                continue
            curve = curves.valid if group == "valid" else curves.train
            for name, value in values.items():
                curve.setdefault(name, []).append((step, value))
    return curves


def _parse_line(line: bytes) -> tuple[str, float, dict[str, float]]:
    """Group, step and values of a line.

    Raises:
        ValueError, or another of MALFORMED: it is none.
    """
    found = cast("dict[str, Any]", parse_json(line))
    values = {str(name): value for name, value in found.items() if name not in ("group", "step")}
    if not all(value is None or type(value) in (int, float) for value in values.values()):
        raise ValueError("a value is no number")
    if not 0 <= found["step"] < MAX_STEP:
        raise ValueError("its step is none")
    kept = {n: v if v is not None and abs(v) < LARGEST else math.nan for n, v in values.items()}
    return str(found["group"]), found["step"], kept


def _header(config: TrainConfig, curves: Curves) -> str:
    total = curves.train.get("total", [(0.0, math.nan)])
    step = int(total[-1][0])
    best = [curve for name, curve in _of_metric(curves, "pesq_wb", "").items() if name]
    tiles = {
        f"of {config.steps:,} steps": f"{step:,}",
        "total loss": number(total[-1][1]),
        "times real time": number(_last(curves.train, "audio_seconds_per_second")),
        "of the time waiting for data": f"{100 * _last(curves.train, 'waiting_share'):.1f} %",
    }
    if best:
        tiles["PESQ-WB now"] = f"{best[-1][-1][1]:.2f}"
        step_of_best, highest = max(best[-1], key=lambda point: point[1])
        tiles[f"best PESQ-WB, step {number(step_of_best)}"] = f"{highest:.2f}"
    cells = "".join(f'<div class="card tile"><b>{v}</b><span>{n}</span></div>' for n, v in tiles.items())
    done = f"{100 * step / config.steps:.1f}%"
    return (
        f"<h1>{escape(config.name)}</h1>"
        f'<div class="bar"><i style="width:{done}"></i></div><div class="tiles">{cells}</div>'
    )


def _losses(curves: Curves) -> str:
    cards = [
        _card(title, line_chart([Line(name, curves.train[name])], title, name in LOGARITHMIC))
        for name, title in LOSSES.items()
        if name in curves.train
    ]
    return _section("Training", "Means between two lines of the log.", cards)


def _scores(curves: Curves) -> str:
    cards: list[str] = []
    for metric, title in (METRICS | JUDGES).items():
        found = _of_metric(curves, metric, "")
        if not found:
            continue
        lines = [Line("unquantized" if name == "0" else f"{name} quantizers", c) for name, c in found.items()]
        lines.sort(key=lambda line: line.name == "unquantized")
        cards.append(_card(title, legend([line.name for line in lines]) + line_chart(lines, title)))
    note = (
        "Averaged weights, held-out clips without noise, by number of quantizers. Losses may imitate PESQ and"
        " STOI, so look at the others, of fewer clips, too."
    )
    return _section("Validation", note, cards if curves.valid else [])


def _environments(curves: Curves) -> str:
    environments = sorted({name.split("/")[2] for name in curves.valid if name.count("/") == 2})
    if not environments:
        return ""
    rows: list[str] = []
    prefixes = list(_of_metric(curves, "pesq_wb", environments[0]))
    for environment in ["", *environments]:
        cells = [escape(environment) or "as recorded", _share(curves, environment)]
        for metric in METRICS:
            found = _of_metric(curves, metric, environment)
            cells += [_digits(metric, found[prefix][-1][1]) if prefix in found else "" for prefix in prefixes]
        cells.append(sparkline(_of_metric(curves, "pesq_wb", environment)[prefixes[-1]]))
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    group = f'<th colspan="{len(prefixes)}">'
    above = "".join(f"{group}{escape(title)}</th>" for title in METRICS.values())
    below = "".join(f"<th>{prefix}</th>" for prefix in prefixes) * len(METRICS)
    head = (
        f"<tr><th></th><th>share of</th>{above}<th>PESQ-WB</th></tr>"
        f"<tr><th>quantizers</th><th>examples</th>{below}<th>{prefixes[-1]}, over time</th></tr>"
    )
    table = f"<table>{head}<tr>{'</tr><tr>'.join(rows)}</tr></table>"
    note = "The latest validation, against what the model is to give back there."
    return f'<h2>Environments</h2><p class="soft">{note}</p><div class="card wide">{table}</div>'


def _codebooks(curves: Curves, config: TrainConfig) -> str:
    from_validation = "usage/0" in curves.valid
    group = curves.valid if from_validation else curves.train
    cards: list[str] = []
    for name, title, highest in (
        ("usage", "Share of entries in use", 1.0),
        ("perplexity", f"Perplexity, of {config.model.quantizer.codebook_size}", None),
    ):
        stages = [group[f"{name}/{stage}"] for stage in range(_stages(group, name))]
        if not stages:
            continue
        every = -(-len(stages[0]) // MAX_COLUMNS)
        steps = [step for step, _ in stages[0]][::-1][::every][::-1]
        known = [dict(curve) for curve in stages]
        rows = [[values.get(step, math.nan) for step in steps] for values in known]
        top = highest or max(value for row in rows for value in row if value == value)
        now = f"from {number(rows[0][-1])} in the first stage to {number(rows[-1][-1])} in the last"
        picture = heat_map(steps, rows, top, title)
        cards.append(_card(title, f'<p class="soft">Now {now}.</p>{picture}'))
    where = "in the validation clips" if from_validation else "in a batch"
    return _section("Codebooks", f"Stages from top to bottom, steps from left to right, {where}.", cards)


def _circumstances(config: TrainConfig, device: torch.device) -> str:
    facts = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name))),
    }
    rows = "".join(f'<tr><td>{name}</td><td class="left">{escape(v)}</td></tr>' for name, v in facts.items())
    recipe = f"<details><summary>The recipe</summary><pre>{escape(dump_yaml(config))}</pre></details>"
    return f'<h2>Circumstances</h2><div class="card"><table>{rows}</table><p></p>{recipe}</div>'


def _skipped(skipped: Mapping[str, str], skips: int) -> str:
    if not skipped:
        return '<h2>Recordings left out</h2><p class="soft">None.</p>'
    rows = "".join(
        f'<tr><td class="left">{escape(name)}</td><td class="left">{escape(reason)}</td></tr>'
        for name, reason in list(skipped.items())[:NAMED]
    )
    more = f"<p>and {len(skipped) - NAMED} more</p>" if len(skipped) > NAMED else ""
    met = f'<p class="soft">Met {skips} times while training.</p>' if skips > len(skipped) else ""
    return (
        f"<h2>Recordings left out: {len(skipped)}</h2>{met}"
        f'<div class="card wide"><details><summary>Names and reasons</summary><table>{rows}</table>{more}'
        "</details></div>"
    )


def _section(title: str, note: str, cards: Sequence[str]) -> str:
    if not any(cards):
        return ""
    return f'<h2>{title}</h2><p class="soft">{note}</p><div class="grid2">{"".join(cards)}</div>'


def _card(title: str, body: str) -> str:
    return f'<div class="card"><h3>{escape(title)}</h3>{body}</div>' if body else ""


def _of_metric(curves: Curves, metric: str, environment: str) -> dict[str, Curve]:
    """Curves of a metric by number of quantizers, as text; at most as many as there are colors."""
    found: dict[str, Curve] = {}
    for name, curve in curves.valid.items():
        head, *rest = name.split("/")
        if head == metric and rest[1:] == ([environment] if environment else []):
            found[rest[0]] = curve
    kept = sorted(found, key=int)
    return {name: found[name] for name in kept[-COLORS:]}


def _stages(group: Mapping[str, Curve], name: str) -> int:
    return sum(key.startswith(f"{name}/") for key in group)


def _share(curves: Curves, environment: str) -> str:
    share = _last(curves.train, f"environment/{environment}")
    return "" if math.isnan(share) else f"{100 * share:.0f} %"


def _digits(metric: str, value: float) -> str:
    return f"{value:.3f}" if metric == "stoi" else f"{value:.2f}" if metric == "pesq_wb" else f"{value:.1f}"


def _last(group: Mapping[str, Curve], name: str) -> float:
    return group[name][-1][1] if name in group else math.nan


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    return f"CPU, {platform.machine()}"
