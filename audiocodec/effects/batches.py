"""Noise, rooms and levels for whole batches, as tensors on any device.

Each function does for every row what another one does for one recording: `audio.levels.active_level`,
`noise.add_at_snr`, `rooms.convolve`, `environments.limit_peak`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from audiocodec.audio.levels import HANGOVER, MARGIN_DB, NUM_THRESHOLDS, TIME_CONSTANT
from audiocodec.effects.environments import MAX_PEAK
from audiocodec.effects.filters import fast_size

ENVELOPE_CONSTANTS = 16
"""Length of the impulse response of the envelope in time constants; the rest is below single precision."""


def active_levels_db(wavs: Tensor, sample_rate: int) -> Tensor:
    """Active speech level [B] of wavs [B, L] in dB, by ITU-T P.56 method B; -inf for silence."""
    held = _held_for(_envelopes(wavs.abs(), sample_rate), math.ceil(HANGOVER * sample_rate) + 1)
    halvings = torch.arange(1, NUM_THRESHOLDS + 1, device=wavs.device, dtype=torch.float64)
    counts = torch.stack([(held >= 2.0**-n).sum(dim=1) for n in range(1, NUM_THRESHOLDS + 1)], dim=1)
    power = wavs.double().square().sum(dim=1, keepdim=True)
    levels = 10 * (power / counts.clamp(min=1)).log10()  # [B, thresholds]
    margins = torch.where(counts > 0, levels + 20 * math.log10(2) * halvings - MARGIN_DB, -1.0)
    # The first threshold after the last one of too small a margin.
    at = ((margins < 0) * halvings).amax(dim=1, keepdim=True).long()
    here, before = at.clamp(max=NUM_THRESHOLDS - 1), (at - 1).clamp(min=0)
    level, margin = levels.gather(1, here), margins.gather(1, here)
    earlier_level, earlier_margin = levels.gather(1, before), margins.gather(1, before)
    share = -earlier_margin / (margin - earlier_margin)
    between = (at > 0) & (counts.gather(1, before) > 0)
    level = torch.where(between, level + (1 - share) * (earlier_level - level), level)
    silent = (at == NUM_THRESHOLDS) | (power == 0)
    return torch.where(silent, -torch.inf, level)[:, 0].to(wavs.dtype)


def add_at_snr(wavs: Tensor, noise: Tensor, snr_db: Tensor, sample_rate: int) -> Tensor:
    """Add noise [B, L] to wavs [B, L], `snr_db` [B] below the level of their speech; to silence, nothing."""
    level = 20 * noise.square().mean(dim=1).sqrt().log10()
    gain = 10 ** ((active_levels_db(wavs, sample_rate) - snr_db - level) / 20)
    return wavs + noise * torch.where(gain.isfinite(), gain, 0.0)[:, None]


def convolve(wavs: Tensor, responses: Tensor, delays: Tensor) -> Tensor:
    """Convolve wavs [B, L] with responses [B, M] and remove the first `delays` [B] < M samples: [B, L]."""
    length = wavs.shape[1]
    size = fast_size(length + responses.shape[1] - 1)
    spectrum = torch.fft.rfft(wavs, size) * torch.fft.rfft(responses, size)
    places = delays[:, None] + torch.arange(length, device=wavs.device)
    return torch.fft.irfft(spectrum, size).gather(1, places)


def level_gains(wavs: Tensor, changed: Tensor) -> Tensor:
    """Factors [B, 1] that give `changed` [B, L] the power of `wavs` [B, L]; 1 for silence."""
    power, changed_power = (x.square().sum(dim=1, keepdim=True) for x in (wavs, changed))
    return torch.where(changed_power > 0, (power / changed_power).sqrt(), 1.0)


def limit_peak(changed: Tensor, target: Tensor, peak: str) -> tuple[Tensor, Tensor]:
    """Scale, clip or keep inputs [B, L] that pass full scale, with their targets (see `Environment`)."""
    if peak == "keep":
        return changed, target
    if peak == "clip":
        clipped = changed.clamp(-1.0, 1.0)
        return clipped, clipped if target is changed else target
    highest = torch.maximum(changed.abs().amax(dim=1, keepdim=True), target.abs().amax(dim=1, keepdim=True))
    gain = torch.where(highest > 1.0, MAX_PEAK / highest, 1.0)
    return changed * gain, target * gain


def _envelopes(sizes: Tensor, sample_rate: int) -> Tensor:
    """Two equal smoothing filters of P.56 one after the other, on [B, L]: (1 - g)^2 (n + 1) g^n."""
    pole = math.exp(-1 / (sample_rate * TIME_CONSTANT))
    reach = round(ENVELOPE_CONSTANTS * TIME_CONSTANT * sample_rate)
    steps = torch.arange(reach, device=sizes.device, dtype=sizes.dtype)
    response = (1 - pole) ** 2 * (steps + 1) * pole**steps
    no_delay = torch.zeros(len(sizes), dtype=torch.long, device=sizes.device)
    return convolve(sizes, response.expand(len(sizes), -1), no_delay)


def _held_for(values: Tensor, count: int) -> Tensor:
    """Maximum of the last `count` values at each place of [B, L], by windows of doubling length."""
    width = 1
    while 2 * width <= count:
        values = torch.maximum(values, F.pad(values, (width, 0))[:, :-width])
        width *= 2
    rest = count - width
    return torch.maximum(values, F.pad(values, (rest, 0))[:, :-rest]) if rest else values
