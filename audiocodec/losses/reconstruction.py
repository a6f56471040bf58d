"""Reconstruction losses of training and of refresh: spectra, waveform, loudness and intelligibility."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from audiocodec.config import check_least, check_names
from audiocodec.errors import ConfigError
from audiocodec.losses import spectra
from audiocodec.losses.intelligibility import IntelligibilityLoss
from audiocodec.losses.loudness import LoudnessLoss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

RECONSTRUCTION_LOSSES = ("mel", "spectrum", "logspectrum", "waveform", "loudness", "intelligibility")
"""Names of the losses between the output of the decoder and the original."""
LOSSES = (*RECONSTRUCTION_LOSSES, "commitment")
"""Names that `loss.weights` may hold."""

MEL_FLOOR = 1e-4
"""Magnitude below which differences of logarithms no longer count: a quiet room in 16-bit recordings."""

EXPONENT = 0.3
"""Exponent of compressed magnitudes, as in Braun and Tashev 2020, https://arxiv.org/abs/2009.12286."""
REFRESH_WINDOWS = ((0.016, 24), (0.032, 48), (0.064, 80))
"""Seconds of a window and its number of mel bands."""
REFRESH_WEIGHTS = {"mel": 1.0, "spectrum": 2.0}
"""With these, both terms have about the same size for the model speech-16k."""
REFRESH_LOUDNESS_WEIGHT = 1.0
"""With loudness PESQ improves by a fifth more than without; STOI and the mel distance improve as much."""
ADAPTER_LOUDNESS_WEIGHT = 0.5
"""For adapters of the decoder: with 1.0, PESQ improves but STOI and mel distance of clean speech suffer."""


@dataclass(frozen=True)
class LossConfig:
    """Resolutions and weights of the losses.

    Attributes:
        window_lengths: STFT windows of the mel loss, in samples.
        mel_bins: number of mel bands for each of `window_lengths`.
        compressed_windows: STFT windows of the `spectrum` loss, in samples; each is one of `window_lengths`.
        log_windows: STFT windows of the `logspectrum` loss, in samples.
        log_from_hz: lowest frequency of the `logspectrum` loss, in Hz.
        complex_share: share of the `spectrum` loss that compares complex values; the rest compares
            magnitudes.
        complex_below_hz: frequency in Hz above which the `spectrum` loss compares magnitudes only.
        weights: weight of each loss by its name: mel, spectrum, logspectrum, waveform, loudness,
            intelligibility, commitment; a loss that is not named is not computed.
        renderings: how often each example is decoded, 1 or 2. With 2, the random phases of the decoder
            differ, and energy distances take the place of the losses, so that random phases are not
            punished; it takes twice the time.
    """

    window_lengths: tuple[int, ...] = (128, 256, 512, 1024, 2048)
    mel_bins: tuple[int, ...] = (20, 40, 64, 96, 128)
    compressed_windows: tuple[int, ...] = (256, 512, 1024)
    log_windows: tuple[int, ...] = (128, 256, 512, 1024)
    log_from_hz: float = 0.0
    complex_share: float = 0.3
    complex_below_hz: float = 1e6
    renderings: int = 1
    weights: dict[str, float] = field(
        default_factory=lambda: {"mel": 4.0, "spectrum": 20.0, "commitment": 0.5}
    )

    def __post_init__(self) -> None:
        """Check names and ranges.

        Raises:
            ConfigError: windows and bands do not fit together, or a name or number is not allowed.
        """
        if len(self.window_lengths) != len(self.mel_bins):
            raise ConfigError(f"{len(self.window_lengths)} window_lengths but {len(self.mel_bins)} mel_bins")
        if not set(self.compressed_windows) <= set(self.window_lengths):
            raise ConfigError(
                f"compressed_windows {list(self.compressed_windows)} are not all in window_lengths"
            )
        lengths = (*self.window_lengths, *self.log_windows)
        if not self.window_lengths or any(length < 4 or length % 4 for length in lengths):
            raise ConfigError(f"window_lengths and log_windows are {list(lengths)}; give multiples of 4")
        if self.renderings not in (1, 2):
            raise ConfigError(f"renderings is {self.renderings}; give 1 or 2")
        if not 0 <= self.complex_share <= 1:
            raise ConfigError(f"complex_share is {self.complex_share}; give a share from 0 to 1")
        check_names("weights", self.weights, LOSSES)
        check_least(**{f"weights.{name}": (weight, 0) for name, weight in self.weights.items()})


class SpectralLoss(nn.Module):
    """Distances of spectra over several window lengths, for one or two renderings of the same codes.

    `mel`: mean absolute difference of log-mel magnitudes, as in DAC (https://arxiv.org/abs/2306.06546, 3.4).
    `logspectrum`: the same for log magnitudes of single frequencies from `log_from_hz` on, which resolves
    what mel bands are too wide for. `spectrum`: squared difference of compressed spectra, `complex_share` of
    it on the complex values below `complex_below_hz` and the rest on magnitudes (Braun and Tashev 2020).

    With two renderings y, y' that differ in what is random, each loss is the energy distance
    (|x - y| + |x - y'| - |y - y'|) / 2. It is smallest when renderings vary as recordings do, while |x - y|
    alone is smallest without any variation (Gritsenko et al. 2020, https://arxiv.org/abs/2008.01160).
    """

    def __init__(
        self, config: LossConfig, sample_rate: int, names: Sequence[str], centered: bool = True
    ) -> None:
        """Compute the losses `names`; each is the mean over its windows in `config`.

        `centered` pads half a window at both ends, so the first and last samples count as much as others.

        Raises:
            ConfigError: a window is too short for its number of mel bands.
        """
        super().__init__()
        self.complex_share, self.sample_rate, self.centered = config.complex_share, sample_rate, centered
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
        """[R * B, L], [B, L] -> losses by name, [] each; R is 1 or 2; `reference` gets no gradient."""
        totals = {name: estimate.new_zeros(()) for name in self.windows}
        for length in sorted({length for windows in self.windows.values() for length in windows}):
            estimated = self._spectra(estimate, length)
            with torch.no_grad():  # apart: in one batch, half of the backward pass would be useless
                original = self._spectra(reference, length)
            for name in estimated:
                totals[name] = totals[name] + self._distance(name, estimated[name], original[name])
        return {name: total / max(1, len(self.windows[name])) for name, total in totals.items()}

    def _spectra(self, wav: Tensor, length: int) -> dict[str, tuple[Tensor, ...]]:
        """What each loss compares, by its name."""
        window: Tensor = getattr(self, f"window_{length}")
        padding = length // 2 if self.centered else 0
        values = spectra.spectrum(F.pad(wav, (padding, padding)), window, length // 4)
        magnitude = spectra.magnitude(values)
        compared: dict[str, tuple[Tensor, ...]] = {}
        if length in self.windows.get("mel", ()):
            bank: Tensor = getattr(self, f"bank_{length}")
            compared["mel"] = ((magnitude @ bank + MEL_FLOOR).log(),)
        if length in self.windows.get("logspectrum", ()):
            first = math.ceil(self.log_from_hz * length / self.sample_rate)
            compared["logspectrum"] = ((magnitude[..., first:] + MEL_FLOOR).log(),)
        if length in self.windows.get("spectrum", ()):
            compressed, powers = spectra.compress(values, magnitude, EXPONENT)
            highest = min(self.complex_below_hz, self.sample_rate)
            end = math.ceil(highest * length / self.sample_rate)
            compared["spectrum"] = compressed[..., :end], powers
        return compared

    def _distance(self, name: str, estimate: tuple[Tensor, ...], original: tuple[Tensor, ...]) -> Tensor:
        if name != "spectrum":
            return energy_distance(estimate[0], original[0], lambda x: x.abs().mean())
        values, magnitudes = (
            energy_distance(a, b, lambda x: x.square().mean())
            for a, b in zip(estimate, original, strict=True)
        )
        # Frequencies above `complex_below_hz` count as equal.
        values = values * (estimate[0].shape[-1] / estimate[1].shape[-1])
        # A complex value is two numbers: twice their mean square compares to the mean squared magnitude.
        return 2 * self.complex_share * values + (1 - self.complex_share) * magnitudes


def energy_distance(estimate: Tensor, original: Tensor, mean_size: Callable[[Tensor], Tensor]) -> Tensor:
    """Distance of renderings [R * B, ...], R 1 or 2, from `original` [B, ...]; [] by `mean_size`."""
    renderings = estimate.unflatten(0, (-1, len(original)))
    distance = mean_size(renderings - original)
    if len(renderings) == 1:
        return distance
    return distance - mean_size(renderings[0] - renderings[1]) / 2


class ReconstructionLoss(nn.Module):
    """Those of `RECONSTRUCTION_LOSSES` that have a weight.

    `mel`, `spectrum`, `logspectrum`: see `SpectralLoss`; the others use the first rendering only.
    `waveform`: mean absolute difference of samples, as in EnCodec (https://arxiv.org/abs/2210.13438, 3.4).
    `loudness`: see `LoudnessLoss`. `intelligibility`: see `IntelligibilityLoss`.
    """

    def __init__(self, config: LossConfig, sample_rate: int) -> None:
        """Build the losses that have a weight in `config`.

        Raises:
            ConfigError: a window is too short for its number of mel bands, or the sample rate is too low
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
        """[R * B, L], [B, L] -> losses by name, [] each; R is 1 or 2 renderings."""
        losses = self.spectral(estimate, reference) if self.spectral is not None else {}
        estimate = estimate[: len(reference)]
        if "waveform" in self.names:
            losses["waveform"] = (estimate - reference).abs().mean()
        if self.loudness is not None:
            losses["loudness"] = self.loudness(estimate, reference)
        if self.intelligibility is not None:
            losses["intelligibility"] = self.intelligibility(estimate, reference)
        return {name: losses[name] for name in self.names}


class RefreshLoss(nn.Module):
    """The loss that codebooks and adapters are refreshed by: mel, compressed magnitudes and loudness."""

    def __init__(self, sample_rate: int, loudness_weight: float = REFRESH_LOUDNESS_WEIGHT) -> None:
        """Windows are a whole number of hops at `sample_rate` Hz.

        Raises:
            ConfigError: `sample_rate` is less than 8000.
        """
        super().__init__()
        self.loudness, self.loudness_weight = LoudnessLoss(sample_rate), loudness_weight
        windows = tuple(4 * round(seconds * sample_rate / 4) for seconds, _ in REFRESH_WINDOWS)
        bands = tuple(bands for _, bands in REFRESH_WINDOWS)
        config = LossConfig(windows, bands, windows, log_windows=(), complex_share=0.0)
        self.spectral = SpectralLoss(config, sample_rate, tuple(REFRESH_WEIGHTS), centered=False)

    def forward(self, estimate: Tensor, reference: Tensor) -> Tensor:
        """[B, L], [B, L] -> []."""
        spectral = weighted_sum(self.spectral(estimate, reference), REFRESH_WEIGHTS)
        return spectral + self.loudness_weight * self.loudness(estimate, reference)


def weighted_sum(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Sum of `losses` times the weights of the same names; a loss without a weight does not count."""
    return torch.stack([weights.get(name, 0.0) * value for name, value in losses.items()]).sum()


def _mel_bank(sample_rate: int, length: int, bins: int) -> Tensor:
    """Triangular bands [length / 2 + 1, bins] of sum 1, on the HTK mel scale, up to half the sample rate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about empty bands, which raise below
        bank = melscale_fbanks(length // 2 + 1, 0.0, sample_rate / 2, bins, sample_rate)
    total = bank.sum(dim=0)
    if not bool((total > 0).all()):
        raise ConfigError(
            f"loss.mel_bins: {bins} bands are too many for a window of {length} samples at {sample_rate} Hz:"
            " some bands contain no frequency; give fewer"
        )
    return bank / total
