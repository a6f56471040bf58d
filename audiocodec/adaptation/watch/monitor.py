"""Drift of what is encoded, window by window, against a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.adaptation.drift.baseline import WINDOW_SAMPLE
from audiocodec.adaptation.drift.measures import Measures
from audiocodec.adaptation.statistics import Statistics, StatisticsCollector
from audiocodec.adaptation.watch.alarm import (
    ChangeDetector,
    MonitorState,
    Scorer,
    SequentialTest,
    StateMachine,
    make_detector,
)
from audiocodec.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from audiocodec.adaptation.drift import Baseline
    from audiocodec.adaptation.watch.environments import EnvironmentBook
    from audiocodec.codec import Codec


@dataclass(frozen=True)
class WindowReport:
    """What the monitor says about one window.

    Attributes:
        number: number of the window, from 0.
        sources: names of its audio files.
        start_seconds: start of the window, counted over all audio that the monitor was given.
        end_seconds: end of the window.
        state: state of the monitor after this window.
        silent: whether too little of it was audible. Then it was not judged, and the other fields are empty.
        score: drift in one number, in spreads of the measures without drift.
        decisive: name of the measure that decided the score.
        p_value: share of windows without drift that have such a score.
        change: whether the sequential test fired.
        measures: overall value of each measure.
        p_values: p-value of each measure alone.
        stages: values of each stage, for measures that have them.
        environment: the fields of `Recognition`; None if no environments are known.
        codebook_id: identity of the codebooks that chose the codes.
        baseline: name of the baseline it was compared with.
    """

    number: int
    sources: Sequence[str]
    start_seconds: float
    end_seconds: float
    state: MonitorState
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


AUDIBLE_SHARE = 0.1
"""A window of which less can be heard is not judged: silence is not an environment."""


@dataclass(frozen=True)
class MonitorOptions:
    """Options of a monitor.

    Attributes:
        window_seconds: length of a window. Short windows give alerts sooner, long ones detect smaller drift.
        false_alarm_rate: alerts per window on audio like the baseline's, by threshold and sequential test.
        decisive: names of the measures that decide; none means the default ones.
        sequential: "page_hinkley", "adwin" (both need river) or "none".
        recovery_windows: number of quiet windows after which the state falls.
        sample_every: only the latents of every n-th frame are used.
        seed: seed of the random generator for the sample of latents.
    """

    window_seconds: float = 30.0
    false_alarm_rate: float = 0.01
    decisive: tuple[str, ...] = ()
    sequential: SequentialTest = "page_hinkley"
    recovery_windows: int = 3
    sample_every: int = 1
    seed: int = 0


class Monitor:
    """Takes latents and codes as they are made, and gives a report for every full window."""

    def __init__(
        self,
        codec: Codec,
        baseline: Baseline,
        bitrate: float | None = None,
        options: MonitorOptions | None = None,
        book: EnvironmentBook | None = None,
    ) -> None:
        """Watch what `codec` encodes at `bitrate` (None: the highest).

        Raises:
            InputError: the baseline was made with another model, or an option is out of range.
        """
        self.options = options or MonitorOptions()
        if baseline.model_id != codec.model_id:
            raise InputError(
                f"baseline {baseline.name!r} was made with model {baseline.model_id[:32]}, not with"
                f" {codec.name} ({codec.model_id[:32]}); make one with this model (audiocodec baseline)"
            )
        rate = codec.model.frame_rate
        self._window = round(self.options.window_seconds * rate)
        baseline.null.check_frames(self._window, rate)
        if self.options.recovery_windows < 1 or self.options.sample_every < 1:
            raise InputError("recovery_windows and sample_every must be 1 or more")
        self.baseline, self.book, self.frame_rate = baseline, book, rate
        self._rng = np.random.default_rng(self.options.seed)
        self._collector = StatisticsCollector.for_codec(
            codec,
            bitrate,
            rng=self._rng,
            reservoir_size=WINDOW_SAMPLE,
            sample_every=self.options.sample_every,
        )
        share = 1.0 if self.options.sequential == "none" else 0.5
        self._scorer = Scorer(
            baseline.null,
            max(share * self.options.false_alarm_rate, 1 / baseline.null.windows),
            self.options.decisive,
        )
        self._states = StateMachine(self.options.recovery_windows)
        self._detector: ChangeDetector | None = None
        self._sources: list[str] = []
        self._audible, self._audible_known = 0.0, False
        self._done_frames, self._number, self.alerts = 0, 0, 0

    @property
    def state(self) -> MonitorState:
        """State after the last window."""
        return self._states.state

    @property
    def windows(self) -> int:
        """Number of windows reported so far."""
        return self._number

    @property
    def seconds(self) -> float:
        """Seconds of audio taken so far, channels added up."""
        return (self._done_frames + self._collector.frames) / self.frame_rate

    def new_recording(self, source: str = "") -> None:
        """Another recording begins; a window may extend over several recordings."""
        self._collector.new_recording()
        if source:
            self._sources.append(source)

    def update(
        self, latents: Tensor | None, codes: Tensor, audible_seconds: float | None = None
    ) -> list[WindowReport]:
        """Take codes [B, N, T], their latents [B, D, T] if known, and how much of them can be heard if known.

        Raises:
            InputError: shapes do not fit, or a latent is not a finite number.
        """
        reports: list[WindowReport] = []
        position, frames = 0, codes.shape[2]
        while position < frames:
            room = max(1, -(-(self._window - self._collector.frames) // codes.shape[0]))
            stop = min(frames, position + room)
            part = None if latents is None else latents[..., position:stop]
            self._collector.update(part, codes[..., position:stop])
            if audible_seconds is not None:
                self._audible, self._audible_known = (
                    self._audible + audible_seconds * (stop - position) / frames,
                    True,
                )
            position = stop
            if self._collector.frames >= self._window:
                reports.append(self._close())
        return reports

    def flush(self) -> list[WindowReport]:
        """Judge the rest, if it is long enough."""
        rest = self._collector.frames
        if rest < max(self.baseline.null.lengths[0], self._window // 2 if self._number else 0):
            return []
        return [self._close()]

    def check_enough(self) -> None:
        """Refuse audio that was too short for a single window.

        Raises:
            InputError: it says how much audio is needed.
        """
        if not self._number:
            raise InputError(
                f"too little audio: {self.seconds:.1f} s, at least {self.baseline.shortest_seconds:.0f} s are"
                " needed to measure drift"
            )

    def _close(self) -> WindowReport:
        window = self._collector.statistics()
        start = self._done_frames / self.frame_rate
        silent = self._audible_known and self._audible < AUDIBLE_SHARE * window.seconds
        judged: dict[str, Any] = {} if silent else self._judge(window)
        report = WindowReport(
            number=self._number,
            sources=tuple(self._sources),
            start_seconds=start,
            end_seconds=start + window.seconds,
            state=self.state,
            silent=silent,
            num_quantizers=window.num_quantizers,
            model_id=window.model_id,
            codebook_id=window.codebook_id,
            baseline=self.baseline.name,
            **judged,
        )
        self.alerts += report.state == "alert" and not silent
        self._done_frames += window.frames
        self._number += 1
        self._sources = self._sources[-1:]
        self._audible, self._audible_known = 0.0, False
        self._collector.reset()
        return report

    def _judge(self, window: Statistics) -> dict[str, object]:
        measures = self.baseline.compare(window)
        score = self._scorer.score(measures)
        changed = self._detect(measures, score.value)
        self._states.update(score, changed)
        null = self.baseline.null
        recognized = self.book.recognize(window) if self.book and not window.codes_only else None
        return {
            "score": score.value,
            "warning_threshold": score.warning,
            "alert_threshold": score.alert,
            "decisive": score.measure,
            "p_value": score.p_value,
            "change": changed,
            "measures": measures.table(),
            "p_values": {
                name: null.p_value(name, measures) for name in measures.values if name in null.samples
            },
            "stages": {name: part.tolist() for name, part in measures.values.items() if len(part) > 1},
            "environment": recognized.as_json() if recognized else None,
        }

    def _detect(self, measures: Measures, score: float) -> bool:
        if self.options.sequential != "none" and self._detector is None:
            null = self._scorer.null_scores(measures)
            rate = self.options.false_alarm_rate / 2
            self._detector = make_detector(self.options.sequential, null, rate, self._rng)
        return self._detector is not None and self._detector.update(score)
