"""Tables and pictures of quantizers.py, from the rows of its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from quantizers_rows import Row

mpl.use("Agg")
import matplotlib.pyplot as plt

Columns = dict[str, Callable[[Row], str]]

CODEC: Columns = {
    "bit/s": lambda r: f"{r['bitrate']:.0f}",
    "error": lambda r: f"{r['error']:.3f}",
    "usage %": lambda r: f"{100 * mean_of(r, 'usage'):.0f}",
    "perplexity": lambda r: f"{mean_of(r, 'perplexity'):.0f}",
    "H bit": lambda r: f"{mean_of(r, 'given_nothing'):.2f}",
    "H given previous": lambda r: f"{mean_of(r, 'given_previous'):.2f}",
    "SI-SDR dB": lambda r: f"{r['si_sdr']:.2f}",
    "mel": lambda r: f"{r['mel_distance']:.3f}",
    "PESQ": lambda r: f"{r['pesq']:.3f}",
    "STOI": lambda r: f"{r['stoi']:.3f}",
    "step ms": lambda r: f"{r['step_ms']:.0f}",
}
SINGLE: Columns = {
    "error": lambda r: f"{r['error']:.3f}",
    "usage %": lambda r: f"{100 * r['usage']:.1f}",
    "of 20 min": lambda r: f"{100 * r['usage_fit']:.1f}" if "usage_fit" in r else "",
    "perplexity": lambda r: f"{r['perplexity']:.0f}",
    "H bit": lambda r: f"{r['given_nothing']:.2f}",
    "H given previous": lambda r: f"{r['given_previous']:.2f}",
}
SPEED: Columns = {
    "step ms": lambda r: f"{r['step_ms']:.0f}",
    "x EMA": lambda r: f"{r['times_ema']:.2f}",
    "MB": lambda r: f"{r['megabytes']:.0f}",
}


def mean_of(row: Row, name: str) -> float:
    """Mean over the stages of a codec."""
    return float(np.mean([stage[name] for stage in row["stages"]]))


def table(title: str, rows: Sequence[Row], key: str, columns: Columns) -> str:
    """One row of markdown a run."""
    if not rows:
        return ""
    lines = [f"| {title} | " + " | ".join(columns) + " |", "|" + " --- |" * (len(columns) + 1)]
    lines += [f"| {row[key]} | " + " | ".join(f(row) for f in columns.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def natural(name: Any) -> tuple[int, str]:
    """Order: numbers by size, then words."""
    number = str(name).split(" ")[0]
    return (int(number) if number.isdecimal() else 0, str(name))


def wide_table(rows: Sequence[Row], key: str, across: str, cell: Callable[[Row], str]) -> str:
    """One line for each value of `key`, one column for each of `across`."""
    names, heads = (sorted(dict.fromkeys(row[k] for row in rows), key=natural) for k in (key, across))
    cells = {(row[key], row[across]): cell(row) for row in rows}
    lines = [f"| {key} | " + " | ".join(f"{across} {head}" for head in heads) + " |"]
    lines += ["|" + " --- |" * (len(heads) + 1)]
    lines += [f"| {name} | " + " | ".join(cells.get((name, h), "") for h in heads) + " |" for name in names]
    return "\n".join(lines) + "\n" if rows else ""


def label(row: Row) -> str:
    """Heading of a column: entries, and where they start unless that is left to the method."""
    return f"{row['codebook_size']}" + (" from data" if row["start"] == "data" else "")


def in_short(row: Row) -> str:
    """What a cell says of a run with one codebook."""
    return f"{row['error']:.3f} · {100 * row['usage']:.0f} · {row['given_previous']:.2f}"


def write_report(rows: Sequence[Row], tables: Path, images: Path) -> None:
    """Write what there are rows for."""
    by_study = {s: [r for r in rows if r["study"] == s] for s in ("codec", "single", "zador", "speed")}
    codec = sorted(by_study["codec"], key=lambda r: r["error"])
    single = sorted(by_study["single"], key=lambda r: (r["codebook_size"], r["start"], r["error"]))
    short = [{**r, "entries": label(r)} for r in single if r["start"] != "long"]
    best = [
        r for r in single if r["codebook_size"] == 1024 and (r["start"] == "long" or r["method"] == "lbg")
    ]
    parts = [table("codec", codec, "run", CODEC), wide_table(short, "method", "entries", in_short)]
    parts += [table("long run", best, "method", SINGLE)]
    parts += [
        wide_table(by_study["zador"], "how", "dim", lambda r: f"{r['error']:.4f} ({100 * r['usage']:.0f} %)")
    ]
    for row in by_study["speed"]:
        title = f"{row['codebook_size']} codes, {row['vectors']} vectors"
        parts.append(table(title, row["cases"], "case", SPEED))
    tables.parent.mkdir(parents=True, exist_ok=True)
    tables.write_text("\n".join(part for part in parts if part))
    images.mkdir(parents=True, exist_ok=True)
    if codec:
        draw_codec(codec, images / "quantizers_codec.png")
    if single:
        draw_single(single, images / "quantizers_single.png")


def draw_codec(rows: Sequence[Row], path: Path) -> None:
    """Error, usage and quality, a line of dots a codec."""
    panels: dict[str, Callable[[Row], float]] = {
        "quantization error / variance": lambda r: r["error"],
        "entries used, %": lambda r: 100 * mean_of(r, "usage"),
        "PESQ-WB": lambda r: r["pesq"],
        "mel distance": lambda r: r["mel_distance"],
        "bits of a code given the previous": lambda r: mean_of(r, "given_previous"),
    }
    figure, axes = plt.subplots(
        1, len(panels), figsize=(2.9 * len(panels), 0.9 + 0.26 * len(rows)), sharey=True, layout="constrained"
    )
    names = [
        f"{r['run']}" + ("" if r["bitrate"] > 3900 else f" ({r['bitrate'] / 1000:.1f} kbit/s)") for r in rows
    ]
    for axis, (title, value) in zip(axes, panels.items(), strict=True):
        axis.plot([value(r) for r in rows], range(len(rows)), "o", color="tab:blue")
        axis.set_title(title, fontsize=10)
        axis.grid(axis="y", color="0.9")
        axis.set_axisbelow(True)
    axes[0].set_yticks(range(len(rows)), names)
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_single(rows: Sequence[Row], path: Path) -> None:
    """Error and usage against the size of the codebook, from each method's own start."""
    own = [r for r in rows if r["start"] == "own"]
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    methods = sorted({r["method"] for r in own}, key=lambda m: (m != "lbg", m))
    colors = plt.get_cmap("tab20")
    for number, method in enumerate(methods):
        mine = sorted((r for r in own if r["method"] == method), key=lambda r: r["codebook_size"])
        sizes = [r["codebook_size"] for r in mine]
        look: dict[str, Any] = (
            {"color": "black", "linewidth": 2.5} if method == "lbg" else {"color": colors(number)}
        )
        for axis, scale, name in zip(axes, (1, 100), ("error", "usage"), strict=True):
            axis.plot(sizes, [scale * r[name] for r in mine], "o-", markersize=4, label=method, **look)
    for axis, title in zip(axes, ("quantization error / variance", "entries used, %"), strict=True):
        axis.set(xscale="log", title=title, xlabel="entries")
        axis.set_xticks([256, 1024, 8192], ["256", "1024", "8192"])
        axis.minorticks_off()
        axis.grid(color="0.9")
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
