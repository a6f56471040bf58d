"""Means over the rows of `roundtrip`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MEANS = ("bitrate", "pesq_wb", "stoi", "encode_rtf", "decode_rtf")
COLUMNS = ("file", "seconds", "nominal bit/s", "bit/s", "PESQ", "STOI", "encode RTF", "decode RTF")


def summarise(rows: Sequence[dict[str, Any]], failed: int) -> dict[str, Any]:
    """Means over all rows, and for each number of quantizers; a missing score is left out of its mean."""
    steps = sorted({row["num_quantizers"] for row in rows})
    parts = [[row for row in rows if row["num_quantizers"] == step] for step in steps]
    by_bitrate = [{"num_quantizers": step, **_means(part)} for step, part in zip(steps, parts, strict=True)]
    return {"summary": True, "failed": failed, **_means(rows), "by_bitrate": by_bitrate}


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rates = {row["nominal_bitrate"] for row in rows}
    return {
        "files": len({row["file"] for row in rows}),
        "seconds": sum(row["seconds"] for row in rows),
        "nominal_bitrate": rates.pop() if len(rates) == 1 else None,
        **{name: _mean([row[name] for row in rows if row[name] is not None]) for name in MEANS},
        "scored": sum(row["pesq_wb"] is not None and row["stoi"] is not None for row in rows),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def cells(row: dict[str, Any]) -> tuple[Any, ...]:
    """A row or a mean as the cells of a table under COLUMNS."""
    rate = row["bitrate"]
    return (
        row["file"],
        round(row["seconds"], 2),
        row["nominal_bitrate"],
        None if rate is None else round(rate),
        *(row[name] for name in MEANS[1:]),
    )
