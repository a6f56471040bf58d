"""Random phase for what a decoder cannot know: without it one phase pattern comes back in every frame.

A code of a few thousand bits a second says nothing of the phase above some 1.5 kHz. A net that must choose
one chooses the same in each frame, which is heard as a buzz at the frame rate. Here the phase there is
drawn, and the net may say in which bands and how loud. Serra and Smith 1990 part sound in a predictable and
a random share likewise, https://doi.org/10.2307/3680788.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.nn.streaming import recall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiocodec.nn.streaming import StreamState

Stages = int | Tensor | None
"""Quantisers behind the latents: for all, [B] for each example, or None for as many as there are."""

TABLE_FRAMES = 1024
"""Frames after which the phases come again: 10 s at 100 a second."""


class PhaseNoise(nn.Module):
    """Spectra [B, T, F] with a share of random phase: S * (sqrt(1 - M^2) + G * M * exp(i theta)).

    The mix M rises from 0 to 1 around a crossover; the gain G grows with the number of quantisers, as it
    makes up for how much smaller than the original an uncertain prediction is. A decoder may move the
    logarithms of odds and gain in some bands. While a model learns, theta is drawn anew; else it comes from
    a fixed table by frame, whose place a stream remembers, so that blocks give the samples of the whole.
    """

    phases: Tensor
    odds: Tensor
    log_gains: Tensor
    spread: Tensor

    def __init__(
        self, bins: int, gains: Sequence[float], crossover: float, slope: float, bands: int = 0
    ) -> None:
        """For spectra of `bins` up to half the sample rate, of which `crossover` and `slope` are shares.

        `gains` is by number of quantisers, `bands` how many a decoder moves.
        """
        super().__init__()
        self.bands = bands
        share = torch.arange(bins) / (bins - 1)
        odds = ((share - crossover) / slope).clamp(-3, 3)
        self.register_buffer("odds", odds, persistent=False)
        self.register_buffer("log_gains", torch.tensor(gains).log(), persistent=False)
        self.register_buffer("phases", phase_table(TABLE_FRAMES, bins), persistent=False)
        self.register_buffer("spread", _triangles(bands, bins), persistent=False)

    def forward(
        self,
        spectrum: Tensor,
        state: StreamState | None = None,
        stages: Stages = None,
        moves: Tensor | None = None,
    ) -> Tensor:
        """Complex [B, T, F] -> [B, T, F]; `moves` [B, T, 2 * bands] are of odds and log gain in each band."""
        log_gain = self.log_gains[self._row(stages)].reshape(-1, 1, 1)
        odds = self.odds
        if moves is not None:
            more, louder = (moves.float().unflatten(-1, (2, self.bands)) @ self.spread).unbind(-2)
            odds, log_gain = odds + more, log_gain + louder
        mix = odds.sigmoid()
        random = torch.polar((mix * log_gain.exp()).expand(spectrum.shape), self._angles(spectrum, state))
        return spectrum * (random + (1 - mix.square()).sqrt())

    def skip(self, state: StreamState, batch: int, frames: int) -> None:
        """Move a stream of `batch` items on by spectra that are never made."""
        past = state.get(self)
        place = self.odds.new_zeros(batch) if past is None else past
        state[self] = (place + frames) % TABLE_FRAMES

    def _angles(self, spectrum: Tensor, state: StreamState | None) -> Tensor:
        batch, frames, bins = spectrum.shape
        if self.training:
            return 2 * torch.pi * torch.rand(batch, frames, bins, device=spectrum.device)
        place = recall(state, self, spectrum.real)
        if state is not None:
            state[self] = (place + frames) % TABLE_FRAMES
        rows = place.long()[:, None] + torch.arange(frames, device=place.device)
        return self.phases[rows % TABLE_FRAMES]

    def _row(self, stages: Stages) -> Tensor | slice:
        """Which gains: rows [B], or the last one."""
        if stages is None:
            return slice(-1, None)
        rows = torch.as_tensor(stages, device=self.log_gains.device).reshape(-1) - 1
        return rows.clamp(0, len(self.log_gains) - 1)


def phase_table(frames: int, bins: int) -> Tensor:
    """Angles [frames, bins], evenly from 0 to 2 pi: the count of each hashed to 32 bits, the same anywhere.

    The mixing function is the finaliser of MurmurHash3 (Appleby, public domain).
    """
    bits = np.arange(1, frames * bins + 1, dtype=np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    bits ^= bits >> np.uint32(16)
    angles = bits.astype(np.float64) * (2 * np.pi / 2**32)
    return torch.from_numpy(angles.astype(np.float32)).reshape(frames, bins)


def _triangles(bands: int, bins: int) -> Tensor:
    """Weights [bands, bins] that draw straight lines between the middles of equal bands."""
    if not bands:
        return torch.zeros(0, bins)
    return F.interpolate(torch.eye(bands)[None], bins, mode="linear", align_corners=False)[0]
