"""Reconstruction losses: spectra with one STFT for all terms of a resolution, wave, loudness, envelopes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from audiocodec.errors import ConfigError
from audiocodec.nn import spectra
from audiocodec.nn.intelligibility import IntelligibilityLoss
from audiocodec.nn.loudness import LoudnessLoss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audiocodec.training.config import LossConfig, TrainConfig

RECONSTRUCTION_LOSSES = ("mel", "spectrum", "waveform", "loudness", "intelligibility")
"""Names of what is compared at the output of the decoder."""

MEL_FLOOR = 1e-4
"""Below this magnitude (a quiet room, in 16-bit recordings) the log-mel difference no longer counts."""

EXPONENT = 0.3
"""Power compression of the spectrum loss, as in Braun and Tashev 2020."""


class SpectralLoss(nn.Module):
    """Log-mel and power-compressed spectrum differences over several window lengths.

    `mel`: mean absolute difference of log-mel magnitudes, as in DAC (https://arxiv.org/abs/2306.06546, 3.4).
    `spectrum`: squared difference of compressed spectra, `complex_share` of it on the complex values and the
    rest on magnitudes (Braun and Tashev 2020, https://arxiv.org/abs/2009.12286).
    """

    def __init__(
        self,
        sample_rate: int,
        window_lengths: Sequence[int],
        mel_bins: Sequence[int],
        compressed_windows: Sequence[int],
        complex_share: float = 0.3,
    ) -> None:
        """One mel resolution per entry of `window_lengths`; `compressed_windows` count for `spectrum` too.

        Raises:
            ConfigError: a window is too short for so many mel bands.
        """
        super().__init__()
        self.window_lengths = tuple(window_lengths)
        self.compressed_windows = tuple(compressed_windows)
        self.complex_share = complex_share
        for length, bins in zip(window_lengths, mel_bins, strict=True):
            window = torch.hann_window(length)
            window = window / window.square().sum().sqrt()
            self.register_buffer(f"window_{length}", window, persistent=False)
            self.register_buffer(f"bank_{length}", _mel_bank(sample_rate, length, bins), persistent=False)

    def forward(self, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """[B, L], [B, L] -> {"mel": [], "spectrum": []}, means over resolutions; `reference` is fixed."""
        mel, spectrum = estimate.new_zeros(()), estimate.new_zeros(())
        for length in self.window_lengths:
            found = self._spectra(estimate, length)
            with torch.no_grad():  # in one batch, half of the backward pass would be in vain
                wanted = self._spectra(reference, length)
            mel = mel + (found.log_mel - wanted.log_mel).abs().mean()
            if found.compressed is not None and wanted.compressed is not None:
                spectrum = spectrum + self._difference(found.compressed, wanted.compressed)
        return {
            "mel": mel / len(self.window_lengths),
            "spectrum": spectrum / max(1, len(self.compressed_windows)),
        }

    def _spectra(self, wav: Tensor, length: int) -> _Spectra:
        window: Tensor = getattr(self, f"window_{length}")
        bank: Tensor = getattr(self, f"bank_{length}")
        values = spectra.spectrum(F.pad(wav, (length // 2, length // 2)), window, length // 4)
        magnitude = spectra.magnitude(values)
        asked = length in self.compressed_windows
        compressed = spectra.compress(values, magnitude, EXPONENT) if asked else None
        return _Spectra((magnitude @ bank + MEL_FLOOR).log(), compressed)

    def _difference(self, found: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> Tensor:
        values, magnitudes = ((a - b).square().mean() for a, b in zip(found, wanted, strict=True))
        # Two numbers a bin: twice their mean square is comparable with the mean squared magnitude.
        return 2 * self.complex_share * values + (1 - self.complex_share) * magnitudes


class _Spectra(NamedTuple):
    """Of one window length: log-mel magnitudes, and the compressed spectrum where it counts."""

    log_mel: Tensor
    compressed: tuple[Tensor, Tensor] | None


class ReconstructionLoss(nn.Module):
    """What a recipe gives a weight out of mel, spectrum, waveform, loudness and intelligibility.

    `mel`, `spectrum`: see `SpectralLoss`. `waveform`: mean absolute difference of samples, as in EnCodec
    (https://arxiv.org/abs/2210.13438, 3.4). `loudness`: see `LoudnessLoss`. `intelligibility`: see
    `IntelligibilityLoss`.
    """

    def __init__(self, config: LossConfig, sample_rate: int) -> None:
        """Build those parts that have a weight.

        Raises:
            ConfigError: a window is too short for so many mel bands, or the rate is too low
                for loudness or intelligibility.
        """
        super().__init__()
        self.names = [name for name in RECONSTRUCTION_LOSSES if config.weights.get(name, 0.0) > 0]
        self.spectral = self.loudness = self.intelligibility = None
        if {"mel", "spectrum"} & set(self.names):
            compressed = config.compressed_windows if "spectrum" in self.names else ()
            self.spectral = SpectralLoss(
                sample_rate, config.window_lengths, config.mel_bins, compressed, config.complex_share
            )
        if "loudness" in self.names:
            self.loudness = LoudnessLoss(sample_rate)
        if "intelligibility" in self.names:
            self.intelligibility = IntelligibilityLoss(sample_rate)

    def forward(self, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """[B, L], [B, L] -> losses by name, [] each."""
        losses = self.spectral(estimate, reference) if self.spectral is not None else {}
        if "waveform" in self.names:
            losses["waveform"] = (estimate - reference).abs().mean()
        if self.loudness is not None:
            losses["loudness"] = self.loudness(estimate, reference)
        if self.intelligibility is not None:
            losses["intelligibility"] = self.intelligibility(estimate, reference)
        return {name: losses[name] for name in self.names}


def build_loss(config: TrainConfig) -> ReconstructionLoss:
    """Build the reconstruction loss of a recipe."""
    return ReconstructionLoss(config.loss, config.model.sample_rate)


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum of `losses` times the weights of the same names; one without a weight counts nothing."""
    return torch.stack([weights.get(name, 0.0) * value for name, value in losses.items()]).sum()


def _mel_bank(sample_rate: int, length: int, bins: int) -> Tensor:
    """Triangular bands [length / 2 + 1, bins] of sum 1, on the HTK mel scale, up to half the sample rate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty band, refused below
        bank = melscale_fbanks(length // 2 + 1, 0.0, sample_rate / 2, bins, sample_rate)
    total = bank.sum(dim=0)
    if not bool((total > 0).all()):
        raise ConfigError(
            f"loss.mel_bins: {bins} bands are too many for a window of {length} samples at {sample_rate} Hz,"
            " some hold no frequency; give fewer"
        )
    return bank / total
