"""Tables and picture of what `refresh.py` measured: changes with 95 % intervals.

    python tools/studies/refresh_report.py runs/refresh/rows.jsonl -o docs/images/refresh.png

Clean speech is shown as the codebooks of the environment code it, and as automatic choice does: with them
only where it is taken for the environment.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from audiocodec.adaptation.refresh.acceptance import (
    BYTES,
    ERROR,
    MEL,
    PESQ,
    SCORES,
    STOI,
    Acceptance,
    Comparison,
    compare,
)

PRESENT = "present"
"""The row of an environment before any refresh."""
Row = dict[str, Any]
Change = tuple[Row, Row, dict[tuple[str, str], Comparison]]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    lines = given.rows.read_text(encoding="utf-8").split("\n")[:-1]
    show([json.loads(line) for line in lines], given.output)


def changes(rows: Sequence[Row]) -> Iterator[Change]:
    """Every refreshed row with the one before refreshing, and comparisons by side and score."""
    before = {_place(r): r for r in rows if r["method"] == PRESENT}
    order = {place: number for number, place in enumerate(before)}
    for row in sorted(rows, key=lambda r: (r["name"], order.get(_place(r), 0))):
        old = before.get(_place(row))
        if row["method"] == PRESENT or old is None:
            continue
        found = {
            (side, name): compare(_array(old[side][name]), _array(row[side][name]), Acceptance())
            for side in ("environment_scores", "clean_scores")
            for name in SCORES
        }
        yield row, old, found


def show(rows: Sequence[Row], picture: Path | None) -> None:
    """Print tables; draw the changes."""
    table = list(changes(rows))
    _table(
        (
            "model",
            "environment",
            "method",
            "error",
            "PESQ",
            "STOI",
            "mel",
            "clean PESQ",
            "clean STOI",
            "by choice",
        ),
        [_quality(*change) for change in table],
    )
    _table(
        (
            "model",
            "environment",
            "method",
            "usage",
            "perplexity",
            "bytes",
            "clean error",
            "CPU s",
            "sent bytes",
        ),
        [_cost(*change) for change in table],
    )
    _table(
        (
            "model",
            "environment",
            "told right",
            "as clean",
            "not told",
            "clean told right",
            "as it",
            "not told",
        ),
        [_told(row) for row in {_place(r): r for r in rows if r["method"] == PRESENT}.values()],
    )
    if picture is not None:
        draw(table, picture)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    for line in (head, ["---"] * len(head), *lines):
        sys.stdout.write("| " + " | ".join(line) + " |\n")
    sys.stdout.write("\n")


def _quality(row: Row, old: Row, found: dict[tuple[str, str], Comparison]) -> list[str]:
    here = {name: found["environment_scores", name] for name in SCORES}
    return [
        row["name"],
        row["environment"],
        row["method"],
        f"{here[ERROR].before:.3f} {_percent(here[ERROR])}",
        f"{here[PESQ].before:.2f} {_change(here[PESQ])}" if here[PESQ].pairs else "-",
        f"{here[STOI].before:.3f} {_change(here[STOI])}" if here[STOI].pairs else "-",
        f"{here[MEL].before:.3f} {_change(here[MEL])}",
        _change(found["clean_scores", PESQ]),
        _change(found["clean_scores", STOI]),
        _change(_by_choice(row, old)),
    ]


def _cost(row: Row, old: Row, found: dict[tuple[str, str], Comparison]) -> list[str]:
    before, after = old["environment_scores"], row["environment_scores"]
    return [
        row["name"],
        row["environment"],
        row["method"],
        f"{before['usage']:.2f} to {after['usage']:.2f}",
        f"{before['perplexity']:.0f} to {after['perplexity']:.0f}",
        _percent(found["environment_scores", BYTES]),
        _percent(found["clean_scores", ERROR]),
        f"{row['fit_seconds']:.0f}",
        f"{row['sent_bytes']:,}",
    ]


def _told(row: Row) -> list[str]:
    """How often pieces are told to be what they are, the other, or neither: too short, or too far off."""
    name, told = row["environment"], row["fit"]["picked"]
    wanted = ("environment_scores", (name, "clean", None)), ("clean_scores", ("clean", name, None))
    counts = [f"{told[side].count(n)} of {len(told[side])}" for side, names in wanted for n in names]
    return [row["name"], name, *counts]


def _by_choice(row: Row, old: Row) -> Comparison:
    """Change of PESQ of clean speech where only what is taken for the environment gets its codebooks."""
    told = old["fit"]["picked"]["clean_scores"]
    before, after = _array(old["clean_scores"][PESQ]), _array(row["clean_scores"][PESQ])
    chosen = np.array([name == row["environment"] for name in told])
    return compare(before, np.where(chosen, after, before), Acceptance())


def _place(row: Row) -> tuple[str, str, float]:
    return row["model"], row["environment"], row["bitrate"]


def draw(table: Sequence[Change], path: Path) -> None:
    """Change of PESQ in each environment and of clean speech, by method, with intervals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["environment"] for row, _, _ in table))
    methods = list(dict.fromkeys(row["method"] for row, _, _ in table))
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.6 * len(names) + 1.6), sharey=True)
    sides = (("environment_scores", "environment"), ("clean_scores", "clean speech"))
    for axis, (side, title) in zip(axes, sides, strict=True):
        for row, _, found in table:
            change = found[side, PESQ]
            if change.low is None:
                continue
            number = methods.index(row["method"])
            place = names.index(row["environment"]) + 0.8 * ((number + 0.5) / len(methods) - 0.5)
            axis.plot([change.low, change.high], [place, place], color=f"C{number}", lw=2)
            axis.plot(change.change, place, "o", color=f"C{number}", ms=5)
        axis.axvline(0, color="gray", lw=0.8)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlabel("change of PESQ, 95 % interval")
        axis.set_title(title)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    handles = [Line2D([], [], marker="o", color=f"C{n}", label=m) for n, m in enumerate(methods)]
    figure.legend(handles=handles, loc="lower center", ncols=len(methods), frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path, dpi=130)


def _array(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])


def _percent(found: Any) -> str:
    return f"{100 * found.change / found.before:+.1f} %"


def _change(found: Any) -> str:
    return f"{found.change:+.3f} ({found.low:+.3f} to {found.high:+.3f})" if found.low is not None else "-"


if __name__ == "__main__":
    main()
