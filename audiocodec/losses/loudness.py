"""A perceptual loss of the PESQ family: differences in loudness over time and pitch, weighted by annoyance.

Written from ITU-T P.862 (02/2001), section 10.2, and P.862.2 (wideband input filter), without the parts that
training does not need: signals are assumed to be aligned in time, all frames count alike, and bad intervals
are not aligned again. The upper limit of a frame's disturbance is soft, so that the worst frames keep a
gradient. Bands follow a formula instead of the table, so the loss works at any sample rate from 8 kHz;
frequencies above 8 kHz do not count.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiocodec.errors import ConfigError
from audiocodec.losses.spectra import spectrum

WINDOW_SECONDS = 0.032
"""Hann windows, overlapping by half."""
GAIN = 10**0.9
"""Gain of the input filter, as a power."""
LEVEL = 1.13e7 * GAIN
"""Power between 300 and 3000 Hz to which signals are scaled after the input filter, P.862 10.2.1."""
QUIET = 1e-7
"""Power added before scaling, -70 dB of full scale: without it the gradient in silence has no bound."""
BAND_GROWTH = 1.0132
"""Ratio of the widths, in Bark, of two neighboring bands: 49 bands up to 8 kHz, 42 up to 4 kHz."""
FIRST_BAND = 0.318
"""Width in Bark of the first whole band."""
ZWICKER_POWER = 0.23
SONE = 0.19
"""Sone for each unit of Zwicker's law, so that a tone of 1 kHz and 40 dB SPL has 1 sone."""
TONE = (29.54, 1e4, 0.5)
"""Amplitude of that tone, its power density, and the width in Bark to which Hann windows spread it."""
THRESHOLD_DB = (
    (0.1, 80.0), (0.3, 67.0), (0.6, 52.0), (1.0, 37.0), (1.3, 31.0), (1.6, 26.0), (2.0, 20.0), (2.7, 12.5),
    (3.4, 7.0), (4.1, 3.0), (4.8, 0.0), (6.0, -3.5), (7.2, -5.5), (8.5, -6.0), (9.8, -6.0), (11.6, -4.5),
    (13.5, -3.0), (17.5, -3.0), (19.5, -4.5), (20.5, -4.0),
)  # fmt: skip
"""Threshold of hearing: (Bark, dB SPL)."""
LIMIT = 45.0
"""Largest disturbance of a frame, P.862 10.2.11."""
SPLIT, SPLIT_HOP = 20, 10
"""Frames of an interval, about a syllable, in which the largest disturbances count most; and its hop."""


class LoudnessLoss(nn.Module):
    """Symmetric and asymmetric disturbance of P.862, weighted as there: 0 if equal, about 4 at worst."""

    window: Tensor
    bank: Tensor
    threshold: Tensor
    exponent: Tensor
    widths: Tensor
    speech_band: Tensor

    def __init__(self, sample_rate: int) -> None:
        """Everything follows from `sample_rate` in Hz.

        Raises:
            ConfigError: `sample_rate` is less than 8000.
        """
        super().__init__()
        if sample_rate < 8000:
            raise ConfigError(f"the loudness loss is defined from 8000 Hz on, not at {sample_rate}")
        self.sample_rate, self.length = sample_rate, 2 * round(WINDOW_SECONDS * sample_rate / 2)
        frequencies = torch.arange(self.length // 2 + 1, dtype=torch.float64) * sample_rate / self.length
        edges = band_edges(min(8000.0, sample_rate / 2))
        centers = 0.5 * (edges[1:] + edges[:-1])
        threshold = 10 ** (0.1 * hearing_threshold_db(centers))
        # Louder growth below 4 Bark, P.862 10.2.8.
        exponent = ZWICKER_POWER * (6 / (centers + 2)).clamp(1.0, 2.0) ** 0.15
        window = torch.hann_window(self.length, dtype=torch.float64)
        tables = {
            "window": window / window.square().sum().sqrt(),
            "speech_band": ((frequencies >= 300) & (frequencies <= 3000)).double(),
            "bank": band_bank(frequencies, edges, sample_rate),
            "threshold": threshold,
            "exponent": exponent,
            "widths": edges[1:] - edges[:-1],
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """[B, L], [B, L] -> [], mean over examples: the points of opinion that P.862 takes from 4.5.

        `reference` is fixed.
        """
        symmetric, asymmetric = self.disturbances(estimate, reference)
        return (0.1 * symmetric + 0.0309 * asymmetric).mean()

    def disturbances(self, estimate: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L], [B, L] -> [B], [B]: all differences, and additions only, which annoy listeners more."""
        degraded = self._pitch_powers(estimate.float())
        with torch.no_grad():
            original = self._pitch_powers(reference.float())
        original = self._compensate_filtering(degraded, original)
        degraded = self._compensate_gain(degraded, original)
        actual, expected = self._loudness(degraded), self._loudness(original)
        # Small differences are masked: a dead zone of a quarter of the softer loudness.
        difference = actual - expected
        masked = 0.25 * torch.minimum(actual, expected)
        disturbance = difference.sign() * F.relu(difference.abs() - masked)
        asymmetry = ((degraded + 50) / (original + 50)) ** 1.2
        asymmetry = asymmetry.clamp(max=12.0) * (asymmetry >= 3)
        weight = ((original * (original > self.threshold)).sum(dim=-1, keepdim=True) + 1e5) / 1e7
        weighted = disturbance * weight**-0.04
        widths = self.widths
        symmetric = ((weighted * widths).square().sum(dim=-1) * widths.sum() + 1e-9).sqrt()
        asymmetric = (weighted.abs() * asymmetry * widths).sum(dim=-1)
        return _over_time(_soft_limit(symmetric)), _over_time(_soft_limit(asymmetric))

    def _pitch_powers(self, wavs: Tensor) -> Tensor:
        """[B, L] -> power in each band and frame [B, T, bands], at the standard level."""
        wavs = self._input_filter(F.pad(wavs, (0, max(0, self.length - wavs.shape[-1]))))
        power = spectrum(wavs, self.window, self.length // 2).square().sum(1)
        level = 2 / self.length * (power @ self.speech_band).mean(dim=-1)
        gain = LEVEL / (level + QUIET)
        return (power * gain[:, None, None]) @ self.bank

    def _input_filter(self, wavs: Tensor) -> Tensor:
        """[B, L] -> [B, L]. Before the windows, as a hum far below speech would leak through them."""
        size = (
            -(-(wavs.shape[-1] + self.length) // self.length) * self.length
        )  # silence between end and start
        hz = torch.fft.rfftfreq(size, 1 / self.sample_rate, device=wavs.device)
        return torch.fft.irfft(torch.fft.rfft(wavs, size) * input_filter(hz).sqrt(), size)[
            :, : wavs.shape[-1]
        ]

    def _compensate_filtering(self, degraded: Tensor, original: Tensor) -> Tensor:
        """The original with the long-term spectrum of the degraded, within 20 dB, as color annoys little."""
        audible = 100 * self.threshold
        loud = (original * (original > audible)).sum(dim=-1, keepdim=True) > 1e7
        means = [(power * (power > audible) * loud).mean(dim=1) for power in (degraded, original)]
        ratio = ((means[0] + 1000) / (means[1] + 1000)).clamp(0.01, 100.0)
        return original * ratio[:, None]

    def _compensate_gain(self, degraded: Tensor, original: Tensor) -> Tensor:
        """The degraded with the power of the original in each frame: slow gain changes annoy little."""
        totals = [(power * (power > self.threshold)).sum(dim=-1) for power in (original, degraded)]
        gain = (totals[0] + 5e3) / (totals[1] + 5e3)
        smooth = torch.cat([gain[:, :1], 0.8 * gain[:, 1:] + 0.2 * gain[:, :-1]], dim=1).clamp(3e-4, 5.0)
        return degraded * smooth[..., None]

    def _loudness(self, power: Tensor) -> Tensor:
        """Zwicker's law, P.862 10.2.8: power in a band [..., bands] to loudness in sone for each Bark."""
        relative = 0.5 + 0.5 * (power / self.threshold).clamp(min=1.0)
        scale = SONE * (2 * self.threshold) ** self.exponent
        return scale * (relative**self.exponent - 1)


def _soft_limit(disturbance: Tensor) -> Tensor:
    """Limit to about LIMIT; the gradient falls gradually."""
    return disturbance * (1 + (disturbance / LIMIT).square()).rsqrt()


def _over_time(disturbance: Tensor) -> Tensor:
    """[B, T] -> [B]: 6-norm within a syllable, so that the worst frame dominates; 2-norm over syllables."""
    frames = disturbance.shape[-1]
    missing = max(0, SPLIT - frames) or -(frames - SPLIT) % SPLIT_HOP
    intervals = F.pad(disturbance, (0, missing)).unfold(1, SPLIT, SPLIT_HOP)
    present = F.pad(torch.ones_like(disturbance[:1]), (0, missing)).unfold(1, SPLIT, SPLIT_HOP).sum(dim=-1)
    peaks = ((intervals**6).sum(dim=-1) / present + 1e-18) ** (1 / 6)
    return (peaks.square().mean(dim=-1) + 1e-12).sqrt()


def to_bark(hz: Tensor) -> Tensor:
    """Critical-band rate, Zwicker and Terhardt 1980, equation 1, https://doi.org/10.1121/1.385079."""
    return 13 * torch.atan(7.6e-4 * hz) + 3.5 * torch.atan((hz / 7500) ** 2)


def to_hz(bark: Tensor) -> Tensor:
    """Inverse of `to_bark`, by interpolation in a fine table."""
    hz = torch.linspace(0, 20000, 40001, dtype=bark.dtype)
    above = torch.searchsorted(to_bark(hz), bark).clamp(1, len(hz) - 1)
    low, high = to_bark(hz[above - 1]), to_bark(hz[above])
    return hz[above - 1] + (bark - low) / (high - low) * (hz[above] - hz[above - 1])


def band_edges(highest_hz: float) -> Tensor:
    """Edges in Bark of bands up to `highest_hz`: half a band, then each a little wider than the last."""
    edges, width, top = [0.0, FIRST_BAND / 2], FIRST_BAND, float(to_bark(torch.tensor(highest_hz)))
    while edges[-1] + width < top:
        edges.append(edges[-1] + width)
        width *= BAND_GROWTH
    return torch.tensor([*edges[:-1], top] if top - edges[-1] < width / 2 else [*edges, top]).double()


def band_bank(frequencies: Tensor, edges: Tensor, sample_rate: int) -> Tensor:
    """Weights [F, bands] from power at `frequencies` to the power density of a band, 1 at 0 dB SPL."""
    spacing = float(frequencies[1])
    low, high = to_hz(edges[:-1]), to_hz(edges[1:])
    left, right = frequencies[:, None] - spacing / 2, frequencies[:, None] + spacing / 2
    overlap = (torch.minimum(right, high) - torch.maximum(left, low)).clamp(min=0) / spacing
    overlap[0] = 0  # no constant part
    # The spectrum of a tone of amplitude a sums to a^2 N / 4.
    amplitude, density, width = TONE
    scale = density * width / (amplitude**2 * sample_rate / spacing / 4)
    return scale * overlap / (edges[1:] - edges[:-1])


def hearing_threshold_db(bark: Tensor) -> Tensor:
    """Threshold of hearing in dB SPL, by linear interpolation in a shortened form of P.862's table."""
    points, values = (torch.tensor(column, dtype=bark.dtype) for column in zip(*THRESHOLD_DB, strict=True))
    above = torch.searchsorted(points, bark).clamp(1, len(points) - 1)
    share = ((bark - points[above - 1]) / (points[above] - points[above - 1])).clamp(0, 1)
    return values[above - 1] + share * (values[above] - values[above - 1])


def input_filter(hz: Tensor) -> Tensor:
    """Power response of P.862.2's input filter: a second-order high-pass at 100 Hz with a gain of 9 dB."""
    ratio = (hz / 100) ** 4
    return GAIN * ratio / (1 + ratio)
