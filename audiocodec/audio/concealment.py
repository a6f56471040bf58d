"""Packet loss concealment: repeats the last pitch period and fades it out, as ITU-T G.711 Appendix I.

It works on decoded samples: repeated codes would repeat phases, and neighboring frames with equal phases
cancel each other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FADE_SECONDS = 0.1
"""A loss is filled for this long, with a falling level; silence follows."""
RISE_SECONDS = 0.02
"""Length of the cross-fade to the sound after a loss."""
TEMPLATE_SECONDS = 0.02
"""Length of the last samples that are compared with earlier ones to find the period."""
SHORTEST_PERIOD, LONGEST_PERIOD = 0.005, 0.02
"""Seconds; a shorter period would be heard as a tone."""
SETTLE_SAMPLES = 8.0
"""A jump at the start of a filled loss decays by a factor e in this many samples."""

Samples = NDArray[np.float32]


class Concealer:
    """Fills gaps in a stream of samples [C, L]."""

    def __init__(self, sample_rate: int, channels: int) -> None:
        """Start with silence before the first sample."""
        self._rate = sample_rate
        self._past = np.zeros((channels, self._samples(TEMPLATE_SECONDS + LONGEST_PERIOD)), np.float32)
        self._filling: Samples = self._past[:, :0]  # the sound that fills a loss, from its start
        self._lost = 0  # samples filled since the last good one

    def good(self, wav: Samples) -> Samples:
        """Take the next samples [C, L]; the first ones after a loss are cross-faded."""
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
        """Continue one channel [L] by its last period, with a falling level."""
        period = self._period(past)
        count = self._samples(FADE_SECONDS)
        cycle = past[-period:].copy()
        # Its end is blended with the samples before its start, so that repetitions join smoothly.
        blend = np.linspace(0.0, 1.0, period // 4, dtype=np.float32)
        cycle[-len(blend) :] += blend * (past[-period - len(blend) : -period] - cycle[-len(blend) :])
        sound = np.tile(cycle, math.ceil(count / period))[:count]
        jump = past[-1] - past[-period - 1]
        sound = sound + jump * np.exp(-np.arange(1, count + 1) / SETTLE_SAMPLES)
        return (sound * np.linspace(1.0, 0.0, count, endpoint=False)).astype(np.float32)

    def _period(self, past: Samples) -> int:
        """The lag in samples with the highest correlation of the end of `past` [L] with earlier samples."""
        size = self._samples(TEMPLATE_SECONDS)
        template = past[-size:].astype(np.float64)
        lags = range(self._samples(SHORTEST_PERIOD), self._samples(LONGEST_PERIOD) - 1)
        before = np.stack([past[-size - lag : -lag] for lag in lags]).astype(np.float64)
        likeness = before @ template / np.sqrt(np.square(before).sum(axis=1) + 1e-9)
        return lags[int(np.argmax(likeness))]

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate)
