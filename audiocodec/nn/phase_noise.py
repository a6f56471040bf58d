"""Random phase at the frequencies where codes do not determine it.

Codes of a few thousand bits a second do not determine the phase above about 1.5 kHz. A net then makes the
same phases in every frame, which sounds like a buzz at the frame rate; so they are drawn at random instead.
Serra and Smith 1990 split sound into a predictable and a random part in the same way,
https://doi.org/10.2307/3680788.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from audiocodec.nn.streaming import StreamState, recall

NumQuantizers = int | Tensor | None
"""How many quantizers the latents come from: one number, [B] for each example, or None for all of them."""

TABLE_FRAMES = 1024
"""Frames after which the phases repeat: 10 s at 100 a second."""


class PhaseNoise(nn.Module):
    """Spectra [B, T, F] with a share of random phase: S * (sqrt(1 - M^2) + G * M * exp(i theta)).

    The mix M rises from 0 to 1 around a crossover; the gain G grows with the number of quantizers, as it
    makes up for how much smaller than the original an uncertain prediction is. In training, theta is drawn
    anew; else it comes from a fixed table by frame, and a stream remembers its place in the table, so that
    chunks give the samples of the whole.
    """

    phases: Tensor
    mix: Tensor
    gains: Tensor

    def __init__(self, bins: int, gains: Sequence[float], crossover: float, slope: float) -> None:
        """For spectra of `bins`; `crossover` and `slope` are in units of half the sample rate.

        `gains` has one number for each number of quantizers from 1; the last also counts for more.
        """
        super().__init__()
        share = torch.arange(bins) / (bins - 1)
        mix = ((share - crossover) / slope).clamp(-3, 3).sigmoid()
        self.register_buffer("mix", mix, persistent=False)
        self.register_buffer("gains", torch.tensor(gains), persistent=False)
        self.register_buffer("phases", phase_table(TABLE_FRAMES, bins), persistent=False)

    def forward(
        self, spectrum: Tensor, state: StreamState | None = None, num_quantizers: NumQuantizers = None
    ) -> Tensor:
        """Complex [B, T, F] -> [B, T, F]."""
        size = self.mix * self._gain(num_quantizers)
        random = torch.polar(size.expand(spectrum.shape), self._angles(spectrum, state))
        return spectrum * (random + (1 - self.mix.square()).sqrt())

    def skip(self, state: StreamState, batch: int, frames: int) -> None:
        """Advance a stream of `batch` items by `frames` spectra that are not made."""
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

    def _gain(self, num_quantizers: NumQuantizers) -> Tensor:
        """[B, 1, 1], or [1, 1, 1] for all."""
        if num_quantizers is None:
            return self.gains[-1].reshape(1, 1, 1)
        numbers = torch.as_tensor(num_quantizers, device=self.gains.device).reshape(-1, 1, 1)
        return self.gains[(numbers - 1).clamp(0, len(self.gains) - 1)]


def phase_table(frames: int, bins: int) -> Tensor:
    """Angles [frames, bins] spread evenly from 0 to 2 pi: hashes of their numbers, equal on every machine.

    The mixing function is the finalizer of MurmurHash3 (Appleby, public domain).
    """
    bits = np.arange(1, frames * bins + 1, dtype=np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    bits ^= bits >> np.uint32(16)
    angles = bits.astype(np.float64) * (2 * np.pi / 2**32)
    return torch.from_numpy(angles.astype(np.float32)).reshape(frames, bins)
