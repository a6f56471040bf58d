"""Plot the summary of an evaluation: quality over bitrate, and over the SNR of all noises together.

Usage: python tools/studies/plot_robustness.py RESULTS/summary.json -o PICTURE.png [--near 6000]

Bars are the intervals of the summary. In the last panels each codec stands at its bitrate nearest to --near.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import matplotlib as mpl

SCORES = {
    "pesq_wb_input": "PESQ-WB",
    "stoi_input": "STOI",
    "mel_distance": "Mel distance (lower is better)",
}
SCOPES = {"clean": "clean speech", "degraded": "other conditions"}
COLORS = ("#0b63b5", "#c2410c", "#0f7a55", "#8b35ab", "#8a6100", "#b8145a")
MARKERS = "osD^vP"


class Summary:
    """What `audiocodec evaluate` wrote, by scope, codec and bitrate."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.codecs: dict[str, dict[float, float]] = {
            name: {point["nominal_bitrate"]: point["bitrate"] for point in codec["points"]}
            for name, codec in content["codecs"].items()
        }
        self.snrs = sorted(
            {one["snr_db"] for one in content["conditions"] if one["snr_db"] is not None}, reverse=True
        )
        self.means = {
            (one["scope"], one["codec"], one["nominal_bitrate"]): one["scores"] for one in content["means"]
        }

    def estimate(self, scope: str, codec: str, nominal: float, score: str) -> tuple[float, float, float]:
        """Value, and its distances to the limits; NaN for what is not there."""
        found = self.means.get((scope, codec, nominal), {}).get(score) or {}
        value, low, high = (
            math.nan if found.get(name) is None else found[name] for name in ("value", "low", "high")
        )
        return value, max(value - low, 0) if low == low else 0, max(high - value, 0) if high == high else 0

    def nearest(self, codec: str, bitrate: float) -> float:
        """The nominal bitrate whose measured one is nearest by ratio."""
        points = self.codecs[codec]
        return min(points, key=lambda nominal: abs(math.log(points[nominal] / bitrate)))


def plot(summary: Summary, near: float, path: Path) -> None:
    """A row a scope: three scores over the bitrate; then PESQ and STOI over the SNR."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(13, 6.2))
    for row, (scope, title) in enumerate(SCOPES.items()):
        for axis, (score, name) in zip(axes[row], SCORES.items(), strict=False):
            _over_bitrate(axis, summary, scope, score)
            axis.set_title(f"{name}\n{title}", loc="left", fontsize=9.5)
    for axis, (score, name) in zip(axes[:, 3], SCORES.items(), strict=False):
        _over_snr(axis, summary, near, score)
        axis.set_title(f"{name}\nall noises, near {near / 1000:g} kbit/s", loc="left", fontsize=9.5)
    for axis in axes.flat:
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8.5)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="upper center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _over_bitrate(axis: Any, summary: Summary, scope: str, score: str) -> None:
    for number, (codec, points) in enumerate(summary.codecs.items()):
        found = [summary.estimate(scope, codec, nominal, score) for nominal in points]
        _draw(axis, number, codec, [rate / 1000 for rate in points.values()], found)
    axis.set_xscale("log")
    rates = [rate / 1000 for points in summary.codecs.values() for rate in points.values()]
    ticks = [tick for tick in (0.5, 1, 1.5, 2, 3, 4, 6, 9, 12, 16, 24, 32) if tick <= 1.05 * max(rates)]
    axis.set_xticks([tick for tick in ticks if tick >= 0.95 * min(rates)])
    axis.xaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.set_xlabel("kbit/s, measured", fontsize=8.5)


def _over_snr(axis: Any, summary: Summary, near: float, score: str) -> None:
    snrs = [snr for snr in summary.snrs if any(f"noises at {snr:g} dB" == key[0] for key in summary.means)]
    scopes = ["clean", *(f"noises at {snr:g} dB" for snr in snrs)]
    for number, codec in enumerate(summary.codecs):
        nominal = summary.nearest(codec, near)
        found = [summary.estimate(scope, codec, nominal, score) for scope in scopes]
        _draw(axis, number, codec, list(range(len(scopes))), found)
    axis.set_xticks(range(len(scopes)), ["clean", *(f"{snr:g}" for snr in snrs)])
    axis.set_xlabel("SNR, dB", fontsize=8.5)


def _draw(
    axis: Any, number: int, codec: str, x: list[float], found: list[tuple[float, float, float]]
) -> None:
    values, below, above = zip(*found, strict=True)
    look = {"color": COLORS[number % len(COLORS)], "marker": MARKERS[number % len(MARKERS)]}
    axis.errorbar(x, values, yerr=(below, above), label=codec, markersize=4.5, capsize=2.5, **look)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("summary", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--near", type=float, default=6000.0, help="bit/s of the panels over the SNR")
    options = parser.parse_args()
    plot(Summary(json.loads(options.summary.read_text("utf-8"))), options.near, options.output)


if __name__ == "__main__":
    main()
