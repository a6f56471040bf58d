"""What the monitor says of one window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from audiocodec.adaptation.watch.states import State


@dataclass(frozen=True)
class WindowReport:
    """One window.

    Attributes:
        number: of the window, from 0.
        sources: where its audio came from.
        start_seconds: of the first frame, counted over all audio the monitor was given.
        end_seconds: after the last.
        state: of the monitor after this window.
        silent: whether too little of it could be heard; it was not judged then, and the rest is empty.
        score: drift in one number, in spreads of what chance gives.
        warning_threshold: of the score.
        alert_threshold: of the score.
        decisive: measure that made the score.
        p_value: how often chance alone gives this score.
        change: whether the sequential test fired.
        measures: overall values by name.
        p_values: of each measure alone.
        stages: values by stage, of measures that have any.
        environment: what known environment this is like, see `Recognition`; None without a book.
        num_quantizers: rows of codes.
        model_id: identity of the model.
        codebook_id: of the codebooks that chose the codes.
        baseline: name of what it was compared with.
    """

    number: int
    sources: Sequence[str]
    start_seconds: float
    end_seconds: float
    state: State
    silent: bool
    num_quantizers: int
    model_id: str
    codebook_id: str
    baseline: str
    score: float | None = None
    warning_threshold: float | None = None
    alert_threshold: float | None = None
    decisive: str | None = None
    p_value: float | None = None
    change: bool = False
    measures: Mapping[str, float] | None = None
    p_values: Mapping[str, float] | None = None
    stages: Mapping[str, Sequence[float]] | None = None
    environment: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return asdict(self)
