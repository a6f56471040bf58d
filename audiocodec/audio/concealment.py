"""Filling a loss with sound that goes on as it was, and fades: pitch repetition as in ITU-T G.711 Appendix I.

It works on decoded samples because repeating codes does not: they hold phases too, and neighboring frames
with equal phases cancel each other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FADE_SECONDS = 0.1
"""A loss is filled for this long, ever more quietly; then there is silence."""
RISE_SECONDS = 0.02
"""The sound after a loss takes over in this time."""
TEMPLATE_SECONDS = 0.02
"""How much of the end is looked for in what came before it, to find the period."""
SHORTEST_PERIOD, LONGEST_PERIOD = 0.005, 0.02
"""Seconds; a shorter period would be heard as a tone."""
SETTLE_SAMPLES = 8.0
"""A jump where the filling starts dies away by a factor e in this many samples."""

Samples = NDArray[np.float32]


class Concealer:
    """Passes a stream of samples [C, L] and fills its gaps."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        """Start with silence before the first sample."""
        self._rate = sample_rate
        self._past = np.zeros((channels, self._samples(TEMPLATE_SECONDS + LONGEST_PERIOD)), np.float32)
        self._filling: Samples = self._past[:, :0]  # what a loss goes on to sound like, from its start
        self._lost = 0  # samples filled since the last good one

    def good(self, wav: Samples) -> Samples:
        """Take the next samples [C, L]; those after a loss take over gradually."""
        if self._lost:
            count = min(wav.shape[1], self._samples(RISE_SECONDS))
            rise = np.linspace(0.0, 1.0, count, endpoint=False, dtype=np.float32)
            start = rise * wav[:, :count] + (1 - rise) * self._filled(count)
            wav = np.concatenate([start.astype(np.float32), wav[:, count:]], axis=1)
            self._lost = 0
        self._past = np.concatenate([self._past, wav], axis=1)[:, -self._past.shape[1] :].copy()
        return wav

    def lost(self, length: int) -> Samples:
        """Fill `length` samples [C, length]."""
        if not self._lost:
            self._filling = np.stack([self._go_on(channel) for channel in self._past])
        filled = self._filled(length)
        self._lost += length
        return filled

    def _filled(self, length: int) -> Samples:
        part = self._filling[:, self._lost : self._lost + length]
        return np.pad(part, ((0, 0), (0, length - part.shape[1])))

    def _go_on(self, past: Samples) -> Samples:
        """Continue one channel [L] by repeating its last period, ever more quietly."""
        period = self._period(past)
        count = self._samples(FADE_SECONDS)
        cycle = past[-period:].copy()
        # Its end is drawn towards what came before its start, so that repetitions join smoothly.
        blend = np.linspace(0.0, 1.0, period // 4, dtype=np.float32)
        cycle[-len(blend) :] += blend * (past[-period - len(blend) : -period] - cycle[-len(blend) :])
        sound = np.tile(cycle, math.ceil(count / period))[:count]
        jump = past[-1] - past[-period - 1]
        sound = sound + jump * np.exp(-np.arange(1, count + 1) / SETTLE_SAMPLES)
        return (sound * np.linspace(1.0, 0.0, count, endpoint=False)).astype(np.float32)

    def _period(self, past: Samples) -> int:
        """The lag in samples at which the end of `past` [L] is most like what came before it."""
        size = self._samples(TEMPLATE_SECONDS)
        template = past[-size:].astype(np.float64)
        lags = range(self._samples(SHORTEST_PERIOD), self._samples(LONGEST_PERIOD) - 1)
        before = np.stack([past[-size - lag : -lag] for lag in lags]).astype(np.float64)
        likeness = before @ template / np.sqrt(np.square(before).sum(axis=1) + 1e-9)
        return lags[int(np.argmax(likeness))]

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate)
