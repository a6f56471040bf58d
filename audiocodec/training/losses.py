"""Reconstruction losses: spectra with one STFT for all terms of a resolution, wave, loudness, envelopes."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from audiocodec.errors import ConfigError
from audiocodec.nn import spectra
from audiocodec.nn.intelligibility import IntelligibilityLoss
from audiocodec.nn.loudness import LoudnessLoss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from audiocodec.training.config import LossConfig, TrainConfig

RECONSTRUCTION_LOSSES = ("mel", "spectrum", "logspectrum", "waveform", "loudness", "intelligibility")
"""Names of what is compared at the output of the decoder."""

MEL_FLOOR = 1e-4
"""Below this magnitude (a quiet room, in 16-bit recordings) the log-mel difference no longer counts."""

EXPONENT = 0.3
"""Power compression of the spectrum loss, as in Braun and Tashev 2020."""


class SpectralLoss(nn.Module):
    """Distances of spectra over several window lengths, from one or two renderings of the same codes.

    `mel`: mean absolute difference of log-mel magnitudes, as in DAC (https://arxiv.org/abs/2306.06546, 3.4).
    `logspectrum`: the same of log magnitudes at every frequency from `log_from_hz` on, which shows what mel
    bands are too wide for. `spectrum`: squared difference of compressed spectra, `complex_share` of it on
    the complex values below `complex_below_hz` and the rest on magnitudes (Braun and Tashev 2020,
    https://arxiv.org/abs/2009.12286).

    With two renderings y, y' that differ in what is random, each is the energy distance
    (|x - y| + |x - y'| - |y - y'|) / 2: it is least when renderings are spread as recordings are, where
    |x - y| alone is least without any spread (Gritsenko et al. 2020, https://arxiv.org/abs/2008.01160).
    """

    def __init__(self, config: LossConfig, sample_rate: int, names: Sequence[str]) -> None:
        """Compute `names`; each is the mean over its windows in `config`.

        Raises:
            ConfigError: a window is too short for so many mel bands.
        """
        super().__init__()
        self.complex_share, self.sample_rate = config.complex_share, sample_rate
        self.complex_below_hz, self.log_from_hz = config.complex_below_hz, config.log_from_hz
        windows = {
            "mel": config.window_lengths,
            "spectrum": config.compressed_windows,
            "logspectrum": config.log_windows,
        }
        self.windows = {name: windows[name] for name in windows if name in names}
        for length, bins in zip(config.window_lengths, config.mel_bins, strict=True):
            self.register_buffer(f"bank_{length}", _mel_bank(sample_rate, length, bins), persistent=False)
        for length in {*config.window_lengths, *config.log_windows}:
            window = torch.hann_window(length)
            window = window / window.square().sum().sqrt()
            self.register_buffer(f"window_{length}", window, persistent=False)

    def forward(self, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """[R * B, L], [B, L] -> losses by name, [] each; R renderings, 1 or 2, and `reference` is fixed."""
        totals = {name: estimate.new_zeros(()) for name in self.windows}
        for length in sorted({length for windows in self.windows.values() for length in windows}):
            found = self._spectra(estimate, length)
            with torch.no_grad():  # in one batch, half of the backward pass would be in vain
                wanted = self._spectra(reference, length)
            for name, part in found.items():
                totals[name] = totals[name] + self._distance(name, part, wanted[name])
        return {name: total / max(1, len(self.windows[name])) for name, total in totals.items()}

    def _spectra(self, wav: Tensor, length: int) -> dict[str, tuple[Tensor, ...]]:
        """What is compared, by the name of the loss."""
        window: Tensor = getattr(self, f"window_{length}")
        values = spectra.spectrum(F.pad(wav, (length // 2, length // 2)), window, length // 4)
        magnitude = spectra.magnitude(values)
        found: dict[str, tuple[Tensor, ...]] = {}
        if length in self.windows.get("mel", ()):
            bank: Tensor = getattr(self, f"bank_{length}")
            found["mel"] = ((magnitude @ bank + MEL_FLOOR).log(),)
        if length in self.windows.get("logspectrum", ()):
            first = math.ceil(self.log_from_hz * length / self.sample_rate)
            found["logspectrum"] = ((magnitude[..., first:] + MEL_FLOOR).log(),)
        if length in self.windows.get("spectrum", ()):
            compressed, powers = spectra.compress(values, magnitude, EXPONENT)
            highest = min(self.complex_below_hz, self.sample_rate)
            end = math.ceil(highest * length / self.sample_rate)
            found["spectrum"] = compressed[..., :end], powers
        return found

    def _distance(self, name: str, found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> Tensor:
        if name != "spectrum":
            return energy_distance(found[0], wanted[0], lambda x: x.abs().mean())
        values, magnitudes = (
            energy_distance(a, b, lambda x: x.square().mean()) for a, b in zip(found, wanted, strict=True)
        )
        values = values * (
            found[0].shape[-1] / found[1].shape[-1]
        )  # what is left out counts as no difference
        # Two numbers a bin: twice their mean square is comparable with the mean squared magnitude.
        return 2 * self.complex_share * values + (1 - self.complex_share) * magnitudes


def energy_distance(found: Tensor, wanted: Tensor, size: Callable[[Tensor], Tensor]) -> Tensor:
    """Of renderings [R * B, ...], R 1 or 2, to what they render, [B, ...]; `size` is a mean over elements."""
    renderings = found.unflatten(0, (-1, len(wanted)))
    distance = size(renderings - wanted)
    if len(renderings) == 1:
        return distance
    return distance - size(renderings[0] - renderings[1]) / 2


class ReconstructionLoss(nn.Module):
    """What a recipe gives a weight out of `RECONSTRUCTION_LOSSES`.

    `mel`, `spectrum`, `logspectrum`: see `SpectralLoss`; the others are of the first rendering alone.
    `waveform`: mean absolute difference of samples, as in EnCodec (https://arxiv.org/abs/2210.13438, 3.4).
    `loudness`: see `LoudnessLoss`. `intelligibility`: see `IntelligibilityLoss`.
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
        if {"mel", "spectrum", "logspectrum"} & set(self.names):
            self.spectral = SpectralLoss(config, sample_rate, self.names)
        if "loudness" in self.names:
            self.loudness = LoudnessLoss(sample_rate)
        if "intelligibility" in self.names:
            self.intelligibility = IntelligibilityLoss(sample_rate)

    def forward(self, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """[R * B, L], [B, L] -> losses by name, [] each; R renderings, 1 or 2."""
        losses = self.spectral(estimate, reference) if self.spectral is not None else {}
        estimate = estimate[: len(reference)]
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
