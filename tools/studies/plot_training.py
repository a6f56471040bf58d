"""Plot what runs logged, one line a run: losses over steps, and scores of their validations.

Usage: python tools/studies/plot_training.py runs/first runs/second -o docs/images/training_curves.png
           [--scalars mel,loudness,commitment,grad_norm,pesq_wb/12,stoi/12]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl

SCALARS = "mel,loudness,commitment,grad_norm,pesq_wb/12,stoi/12"


def read_curve(folder: Path, name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one scalar, from whichever group of the log has it."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    points = sorted({row["step"]: row[name] for row in rows if row.get(name) is not None}.items())
    return [step for step, _ in points], [value for _, value in points]


def plot(folders: list[Path], names: list[str], path: Path) -> None:
    """One panel a scalar, one line a run; a scalar no run has is left out."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = [name for name in names if any(read_curve(folder, name)[0] for folder in folders)]
    figure, axes = plt.subplots(2, (len(names) + 1) // 2, figsize=(11, 5.5), squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        for folder in folders:
            steps, values = read_curve(folder, name)
            axis.plot(steps, values, marker="o" if "/" in name else None, markersize=4, label=folder.name)
        axis.set_title(name, loc="left")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    axes[-1, 0].set_xlabel("step")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="upper center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(path, dpi=110)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--scalars", default=SCALARS)
    options = parser.parse_args()
    plot(options.folders, options.scalars.split(","), options.output)


if __name__ == "__main__":
    main()
