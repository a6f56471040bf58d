"""Means over the rows of `roundtrip`, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

HEADS = {"pesq_wb": "PESQ", "stoi": "STOI"}
"""Of columns that are not headed by the name of their score."""
NOTE = "* a loss of this model imitates this score; judge by the others"
_SPEEDS = ("encode_rtf", "decode_rtf")


def summarize(
    rows: Sequence[dict[str, Any]], failed: int, metrics: Sequence[str], imitated: Sequence[str]
) -> dict[str, Any]:
    """Means over all rows, and for each number of quantizers; a missing score is left out of its mean.

    `imitated` are scores that losses of the model imitate; those among `metrics` are named.
    """
    steps = sorted({row["num_quantizers"] for row in rows})
    parts = [[row for row in rows if row["num_quantizers"] == step] for step in steps]
    by_bitrate = [
        {"num_quantizers": step, **_means(part, metrics)} for step, part in zip(steps, parts, strict=True)
    ]
    return {
        "summary": True,
        "failed": failed,
        **_means(rows, metrics),
        "imitated": [name for name in metrics if name in imitated],
        "by_bitrate": by_bitrate,
    }


def _means(rows: Sequence[dict[str, Any]], metrics: Sequence[str]) -> dict[str, Any]:
    rates = {row["nominal_bitrate"] for row in rows}
    return {
        "files": len({row["file"] for row in rows}),
        "seconds": sum(row["seconds"] for row in rows),
        "nominal_bitrate": rates.pop() if len(rates) == 1 else None,
        **{
            name: _mean([row[name] for row in rows if row[name] is not None])
            for name in ("bitrate", *metrics, *_SPEEDS)
        },
        "scored": sum(all(row[name] is not None for name in metrics) for row in rows),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def columns(metrics: Sequence[str], imitated: Sequence[str]) -> tuple[str, ...]:
    """Heads of the table; scores that are imitated have a star, which NOTE explains."""
    heads = (f"{HEADS.get(name, name)}{'*' if name in imitated else ''}" for name in metrics)
    return ("file", "seconds", "nominal bit/s", "bit/s", *heads, "encode RTF", "decode RTF")


def cells(row: dict[str, Any], metrics: Sequence[str]) -> tuple[Any, ...]:
    """A row or a mean as the cells of a table under `columns`."""
    rate = row["bitrate"]
    return (
        row["file"],
        round(row["seconds"], 2),
        row["nominal_bitrate"],
        None if rate is None else round(rate),
        *(row[name] for name in (*metrics, *_SPEEDS)),
    )
