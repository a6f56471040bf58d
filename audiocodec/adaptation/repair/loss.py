"""How far decoded sound is from what went in, with a gradient: log-mel, compressed spectra, loudness."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from audiocodec.nn.loudness import LoudnessLoss

WINDOWS = ((0.016, 24), (0.032, 48), (0.064, 80))
"""Seconds of a window and its number of mel bands."""
MEL_FLOOR = 1e-4
"""Magnitude of a band below which differences no longer count: a quiet room, in 16-bit recordings."""
EXPONENT = 0.3
"""Braun and Tashev 2020, https://arxiv.org/abs/2009.12286."""
SPECTRUM_WEIGHT = 2.0
"""Puts both terms at about the same size, as seen with speech-16k."""
LOUDNESS_WEIGHT = 1.0
"""Of points of opinion. With it PESQ gains a fifth more, and STOI and the mel distance as much as without."""
ADAPTER_LOUDNESS_WEIGHT = 0.5
"""A decoder can do more to please PESQ alone: with 1, STOI and mel distance of clean speech pay for it."""


class SoundLoss(nn.Module):
    """Mean absolute difference of log-mel magnitudes, squared one of compressed magnitudes, and loudness."""

    def __init__(self, sample_rate: int, loudness_weight: float = LOUDNESS_WEIGHT) -> None:
        """Windows and bands at `sample_rate` Hz."""
        super().__init__()
        self.loudness_weight = loudness_weight
        self.loudness = LoudnessLoss(sample_rate)
        self.lengths = tuple(2 * round(seconds * sample_rate / 2) for seconds, _ in WINDOWS)
        for length, (_, bands) in zip(self.lengths, WINDOWS, strict=True):
            bank = melscale_fbanks(length // 2 + 1, 0.0, sample_rate / 2, bands, sample_rate)
            self.register_buffer(f"bank{length}", bank / bank.sum(dim=0).clamp(min=1e-9), persistent=False)
            self.register_buffer(f"window{length}", torch.hann_window(length), persistent=False)

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """[B, L], [B, L] -> []."""
        both = torch.cat([estimate, reference])
        total = estimate.new_zeros(())
        for length in self.lengths:
            window: Tensor = getattr(self, f"window{length}")
            bank: Tensor = getattr(self, f"bank{length}")
            stft = torch.stft(both, length, length // 4, window=window, return_complex=True, center=False)
            power = stft.real.square() + stft.imag.square()
            magnitude = (power / window.square().sum() + 1e-8).sqrt()  # [2 B, F, T]
            mel = (magnitude.transpose(1, 2) @ bank + MEL_FLOOR).log()
            compressed = magnitude**EXPONENT
            total = total + _difference(mel).abs().mean()
            total = total + SPECTRUM_WEIGHT * _difference(compressed).square().mean()
        return total / len(self.lengths) + self.loudness_weight * self.loudness(estimate, reference)


def _difference(pair: Tensor) -> Tensor:
    estimate, reference = pair.chunk(2)
    return estimate - reference
