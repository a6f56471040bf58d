"""PESQ and STOI of decoded audio against what went in, with a reason where one cannot be computed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import MetricError
from audiocodec.metrics import pesq_wb, stoi

SCORES = {"pesq_wb": pesq_wb, "stoi": stoi}


def scores(reference: NDArray[np.float32], estimate: NDArray[np.float32], sample_rate: int) -> dict[str, Any]:
    """Scores of [C, L] against [C, L], means over channels; `errors` says why one is None."""
    found: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, metric in SCORES.items():
        values: list[float] = []
        for original, decoded in zip(reference, estimate, strict=True):
            try:
                values.append(metric(original, decoded, sample_rate))
            except MetricError as error:
                errors[name] = str(error)
        found[name] = float(np.mean(values)) if values else None
    return {**found, "errors": {name: why for name, why in errors.items() if found[name] is None}}
