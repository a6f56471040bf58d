"""Scores of decoded audio against what went in, with a reason where one cannot be computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from audiocodec.errors import MetricError
from audiocodec.metrics import METRICS, choose_metrics

USUAL = ("pesq_wb", "stoi")


def parse_metrics(text: str) -> tuple[str, ...]:
    """Names of scores with commas between, each once; "all" stands for all that are installed.

    Raises:
        BadParameter: a name is not known, or there is none.
        MissingPackageError: what a score needs is not installed.
    """
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in METRICS and name != "all"]
    if unknown:
        raise typer.BadParameter(
            f"--metrics {text!r}: no score {unknown[0]!r}; choose from {', '.join(METRICS)}, or all"
        )
    return tuple(metric.name for metric in choose_metrics(names))


def scores(
    reference: NDArray[np.float32],
    estimate: NDArray[np.float32],
    sample_rate: int,
    metrics: Sequence[str] = USUAL,
) -> dict[str, Any]:
    """Scores of [C, L] against [C, L], means over channels; `errors` says why one is None."""
    found: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name in metrics:
        values: list[float] = []
        for original, decoded in zip(reference, estimate, strict=True):
            try:
                values.append(METRICS[name](original, decoded, sample_rate))
            except MetricError as error:
                errors[name] = str(error)
        found[name] = float(np.mean(values)) if values else None
    return {**found, "errors": {name: why for name, why in errors.items() if found[name] is None}}
