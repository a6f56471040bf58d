"""A loss of the STOI family: how well the envelopes of speech in third-octave bands keep their shape.

Written from Taal et al. 2011, https://doi.org/10.1109/TASL.2011.2114881, equations 1 to 6, without the parts
that training does not need: signals keep their sample rate, and segments with silent frames get a lower
weight, instead of these frames being cut out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.losses.spectra import spectrum

WINDOW_SECONDS = 0.0256
"""Hann windows, overlapping by half."""
BANDS, LOWEST_HZ = 15, 150.0
"""Third-octave bands, and the center of the first; the last one ends at 4.3 kHz."""
SEGMENT = 30
"""Frames of a segment in which envelopes are compared: 0.4 s, the slowest modulation that matters."""
CLIP = 1 + 10 ** (15 / 20)
"""Largest ratio of an envelope to the original: beyond -15 dB, intelligibility is lost anyway."""
QUIET_DB = 40.0
"""Frames this far below the loudest one are silent."""


class IntelligibilityLoss(nn.Module):
    """1 minus the mean correlation of envelopes: 0 if they have the same shape, 1 if they are unrelated."""

    window: Tensor
    bank: Tensor

    def __init__(self, sample_rate: int) -> None:
        """Everything follows from `sample_rate` in Hz.

        Raises:
            ConfigError: `sample_rate` is less than 10000.
        """
        super().__init__()
        if sample_rate < 10000:
            raise ConfigError(f"the intelligibility loss is defined from 10000 Hz on, not at {sample_rate}")
        self.hop = round(WINDOW_SECONDS * sample_rate / 2)
        # At least twice the window: the lowest band is narrower than the resolution of a window.
        length = 2 ** (4 * self.hop - 1).bit_length()
        padding = length - 2 * self.hop
        window = F.pad(torch.hann_window(2 * self.hop), (padding // 2, padding - padding // 2))
        hz = torch.arange(length // 2 + 1) * sample_rate / length
        centers = LOWEST_HZ * 2 ** (torch.arange(BANDS) / 3)
        bank = (hz[:, None] >= centers * 2 ** (-1 / 6)) & (hz[:, None] < centers * 2 ** (1 / 6))
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("bank", bank.float(), persistent=False)

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """[B, L], [B, L] -> [], mean over segments, bands and examples; `reference` gets no gradient."""
        with torch.no_grad():
            level = reference.float().square().mean(dim=-1, keepdim=True).add(1e-9).rsqrt()
            envelopes = self._envelopes(level * reference.float())
            loudness = envelopes.square().sum(dim=-1)
            active = (loudness > 10 ** (-QUIET_DB / 10) * loudness.amax(dim=-1, keepdim=True)).float()
            weight = _segments(active[..., None])[..., 0, :].mean(dim=-1)
            original = _segments(envelopes)
        estimated = _segments(self._envelopes(level * estimate.float()))
        sizes = [envelopes.norm(dim=-1, keepdim=True) for envelopes in (original, estimated)]
        scale = sizes[0] / (sizes[1] + 0.01 * sizes[0])  # the floor keeps nearly silent bands quiet
        clipped = torch.minimum(scale * estimated, CLIP * original)
        correlation = (_standard(clipped) * _standard(original)).sum(dim=-1).mean(dim=-1)
        return 1 - (weight * correlation).sum() / weight.sum().clamp(min=1e-6)

    def _envelopes(self, wavs: Tensor) -> Tensor:
        """[B, L] -> magnitude in each frame and band [B, T, BANDS]."""
        length = len(self.window)
        missing = max(0, (SEGMENT - 1) * self.hop - wavs.shape[-1])
        wavs = F.pad(wavs, (length // 2, length // 2 + missing))
        power = spectrum(wavs, self.window, self.hop).square().sum(1)
        return (power @ self.bank + 1e-8).sqrt()


def _segments(envelopes: Tensor) -> Tensor:
    """[B, T, bands] -> [B, segments, bands, SEGMENT]; each starts one frame after the one before."""
    return envelopes.unfold(1, SEGMENT, 1)


def _standard(envelopes: Tensor) -> Tensor:
    """Mean 0 and length 1 along the last dimension."""
    centered = envelopes - envelopes.mean(dim=-1, keepdim=True)
    return centered / (centered.square().sum(dim=-1, keepdim=True) + 1e-6).sqrt()
