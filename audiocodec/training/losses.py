"""Reconstruction losses on short-time spectra, one STFT shared by all terms of a resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

if TYPE_CHECKING:
    from collections.abc import Sequence

MEL_FLOOR = 1e-4
"""Below this magnitude (a quiet room, in 16-bit recordings) the log-mel difference no longer counts."""

EXPONENT = 0.3
"""Power compression of the spectrum loss, as in Braun and Tashev 2020."""


class SpectralLoss(nn.Module):
    """Log-mel and power-compressed spectrum differences over several window lengths.

    `mel`: mean absolute difference of log-mel magnitudes, as in DAC (https://arxiv.org/abs/2306.06546, section 3.4).
    `spectrum`: squared difference of compressed spectra, `complex_share` of it on the complex values and the rest on
    magnitudes (Braun and Tashev 2020, https://arxiv.org/abs/2009.12286).
    """

    def __init__(
        self,
        sample_rate: int,
        window_lengths: Sequence[int],
        mel_bins: Sequence[int],
        compressed_windows: Sequence[int],
        complex_share: float = 0.3,
    ) -> None:
        """One mel resolution per entry of `window_lengths`; those in `compressed_windows` count for `spectrum` too."""
        super().__init__()
        self.window_lengths = tuple(window_lengths)
        self.compressed_windows = tuple(compressed_windows)
        self.complex_share = complex_share
        for length, bins in zip(window_lengths, mel_bins, strict=True):
            bank = melscale_fbanks(length // 2 + 1, 0.0, sample_rate / 2, bins, sample_rate)
            bank = bank / bank.sum(dim=0).clamp(min=1e-8)
            self.register_buffer(f"window_{length}", torch.hann_window(length), persistent=False)
            self.register_buffer(f"bank_{length}", bank.t().contiguous(), persistent=False)

    def forward(self, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """[B, L], [B, L] -> {"mel": [], "spectrum": []}, means over resolutions."""
        mel, spectrum = estimate.new_zeros(()), estimate.new_zeros(())
        wavs = torch.cat([estimate, reference])
        for length in self.window_lengths:
            window: Tensor = getattr(self, f"window_{length}")
            stft = torch.stft(
                wavs, length, length // 4, window=window, return_complex=True, pad_mode="constant"
            )
            stft = stft / window.square().sum().sqrt()
            power = stft.real.square() + stft.imag.square() + 1e-8
            mel = mel + _log_mel_difference(power, getattr(self, f"bank_{length}"))
            if length in self.compressed_windows:
                spectrum = spectrum + self._compressed_difference(stft, power)
        return {
            "mel": mel / len(self.window_lengths),
            "spectrum": spectrum / max(1, len(self.compressed_windows)),
        }

    def _compressed_difference(self, stft: Tensor, power: Tensor) -> Tensor:
        magnitude = power ** (EXPONENT / 2)
        compressed = torch.view_as_real(stft * (magnitude * power.rsqrt()))
        # Two numbers a bin: twice their mean square is comparable with the mean squared magnitude.
        complex_part = 2 * _difference(compressed).square().mean()
        return (
            self.complex_share * complex_part
            + (1 - self.complex_share) * _difference(magnitude).square().mean()
        )


def _log_mel_difference(power: Tensor, bank: Tensor) -> Tensor:
    return _difference((bank @ power.sqrt() + MEL_FLOOR).log()).abs().mean()


def _difference(pair: Tensor) -> Tensor:
    """First half of the batch (estimates) minus the second half (references)."""
    estimate, reference = pair.chunk(2)
    return estimate - reference
