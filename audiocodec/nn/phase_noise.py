"""Random phase for what a decoder cannot know: without it one phase pattern comes back in every frame.

A code of a few thousand bits a second says nothing of the phase above some 1.5 kHz. A net that must choose
one chooses the same in each frame, which is heard as a buzz at the frame rate. Here the phase there is
drawn. Serra and Smith 1990 part sound in a predictable and a random share likewise,
https://doi.org/10.2307/3680788.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from audiocodec.nn.streaming import recall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiocodec.nn.streaming import StreamState

Stages = int | Tensor | None
"""Quantizers behind the latents: for all, [B] for each example, or None for as many as there are."""

TABLE_FRAMES = 1024
"""Frames after which the phases come again: 10 s at 100 a second."""


class PhaseNoise(nn.Module):
    """Spectra [B, T, F] with a share of random phase: S * (sqrt(1 - M^2) + G * M * exp(i theta)).

    The mix M rises from 0 to 1 around a crossover; the gain G grows with the number of quantizers, as it
    makes up for how much smaller than the original an uncertain prediction is. While a model learns, theta
    is drawn anew; else it comes from a fixed table by frame, whose place a stream remembers, so that blocks
    give the samples of the whole.
    """

    phases: Tensor
    mix: Tensor
    gains: Tensor

    def __init__(self, bins: int, gains: Sequence[float], crossover: float, slope: float) -> None:
        """For spectra of `bins` up to half the sample rate, of which `crossover` and `slope` are shares.

        `gains` is by number of quantizers.
        """
        super().__init__()
        share = torch.arange(bins) / (bins - 1)
        mix = ((share - crossover) / slope).clamp(-3, 3).sigmoid()
        self.register_buffer("mix", mix, persistent=False)
        self.register_buffer("gains", torch.tensor(gains), persistent=False)
        self.register_buffer("phases", phase_table(TABLE_FRAMES, bins), persistent=False)

    def forward(self, spectrum: Tensor, state: StreamState | None = None, stages: Stages = None) -> Tensor:
        """Complex [B, T, F] -> [B, T, F]; `stages` is the number of quantizers behind it."""
        size = self.mix * self.gains[self._row(stages)].reshape(-1, 1, 1)
        random = torch.polar(size.expand(spectrum.shape), self._angles(spectrum, state))
        return spectrum * (random + (1 - self.mix.square()).sqrt())

    def skip(self, state: StreamState, batch: int, frames: int) -> None:
        """Move a stream of `batch` items on by spectra that are never made."""
        past = state.get(self)
        place = self.mix.new_zeros(batch) if past is None else past
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
        rows = torch.as_tensor(stages, device=self.gains.device).reshape(-1) - 1
        return rows.clamp(0, len(self.gains) - 1)


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
