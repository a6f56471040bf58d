"""Sequential tests: many windows that are each a little too high tell what one alone cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from audiocodec.errors import InputError, require

SequentialTest = Literal["page_hinkley", "adwin", "none"]
SLACK = 0.5
"""Page-Hinkley: a mean that moves by less, in spreads of chance, is let pass."""
_CALIBRATION_WINDOWS = 4000
_WARM_UP = 64


class ChangeDetector(Protocol):
    """Takes scores one by one."""

    def update(self, score: float) -> bool:
        """Whether the mean has risen."""
        ...


class Never:
    """No sequential test."""

    def update(self, score: float) -> bool:
        """Never."""
        del score
        return False


class Sequential:
    """One of river's detectors, acquainted with scores without drift before it sees the first window."""

    def __init__(self, make: Callable[[], Any], null: NDArray[np.float64], rng: np.random.Generator) -> None:
        """`make` gives a fresh detector; `null` are scores [W] without drift."""
        self._make, self._null, self._rng = make, null, rng
        self._start()

    def update(self, score: float) -> bool:
        """Whether the mean of the scores has risen; if so, the test starts anew."""
        before = getattr(self._detector, "estimation", None)
        self._detector.update(score)
        found = bool(self._detector.drift_detected)
        risen = before is None or score > before
        if found:
            self._start()
        return found and risen

    def _start(self) -> None:
        self._detector = self._make()
        for score in self._rng.choice(self._null, _WARM_UP):
            self._detector.update(float(score))
            if self._detector.drift_detected:
                self._detector = self._make()


def make_detector(
    kind: SequentialTest, null: NDArray[np.float64], rate: float, rng: np.random.Generator
) -> ChangeDetector:
    """A sequential test that fires about `rate` times a window on scores like `null` [W].

    Page-Hinkley (Page 1954) looks for a risen mean; its threshold is calibrated by drawing from `null`. ADWIN
    (Bifet and Gavalda 2007) compares all ways to cut the recent past in two; `rate` is its confidence.

    Raises:
        InputError: the kind is unknown.
        MissingPackageError: river is not installed.
    """
    if kind not in get_args(SequentialTest):
        raise InputError(f"sequential test {kind!r} is not known; choose from {get_args(SequentialTest)}")
    if kind == "none":
        return Never()
    drift = _river()
    if kind == "adwin":
        make: Callable[[], Any] = lambda: drift.ADWIN(delta=rate, clock=1)  # noqa: E731
    else:
        threshold = calibrate(null, rate, rng)
        make = lambda: page_hinkley(drift, threshold)  # noqa: E731
    return Sequential(make, null, rng)


def page_hinkley(drift: Any, threshold: float) -> Any:
    """River's detector of a rising mean, with our slack."""
    return drift.PageHinkley(min_instances=1, delta=SLACK, threshold=threshold, alpha=1.0, mode="up")


def calibrate(null: NDArray[np.float64], rate: float, rng: np.random.Generator) -> float:
    """The lowest threshold at which Page-Hinkley alarms in at most a `rate` of such windows."""
    scores = rng.choice(null, _CALIBRATION_WINDOWS).tolist()
    low, high = 0.0, 64.0
    for _ in range(12):
        threshold = (low + high) / 2
        few = count_alarms(scores, threshold) <= rate * len(scores)
        low, high = (low, threshold) if few else (threshold, high)
    return high


def count_alarms(scores: list[float], threshold: float) -> int:
    """Alarms of river's PageHinkley, which starts anew after each; here, as there it takes seconds."""
    alarms = count = 0
    mean = total = lowest = 0.0
    for score in scores:
        count += 1
        mean += (score - mean) / count
        total += score - mean - SLACK
        lowest = min(lowest, total) if count > 1 else total
        if total - lowest > threshold:
            alarms, count, mean, total, lowest = alarms + 1, 0, 0.0, 0.0, 0.0
    return alarms


def _river() -> Any:
    return require("river.drift", "a sequential test", "'audiocodec[adapt]'", "or choose none")
