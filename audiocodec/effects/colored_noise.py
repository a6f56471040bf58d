"""Synthetic noise whose spectrum falls as a power of the frequency: white, pink and brown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import fft

from audiocodec.effects.base import Drawn, Effect, Range, check_range, draw_range
from audiocodec.effects.filtering import fast_size
from audiocodec.effects.mixing import add_at_snr
from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources

SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""Amplitudes fall with the frequency to this power: 0, 3 and 6 dB an octave."""
LOWEST_HZ = 20.0
"""Below it spectra are flat, so that the power of pink and brown noise stays finite."""


@dataclass(frozen=True)
class ColoredNoise(Effect):
    """Adds synthetic noise at a drawn SNR over active speech (see `add_at_snr`).

    Gaussian noise shaped in the frequency domain, as in J. Timmer and M. König, On generating power law
    noise, Astronomy and Astrophysics 300, 1995.

    Attributes:
        snr_db: range of the SNR in dB.
        colors: to draw from: white, pink, brown.
    """

    kind: Literal["colored_noise"] = field(default="colored_noise", kw_only=True)
    snr_db: Range = (0.0, 20.0)
    colors: tuple[Literal["white", "pink", "brown"], ...] = ("white", "pink", "brown")

    def _check(self) -> None:
        check_range("snr_db", self.snr_db, -40.0, 100.0)
        if not self.colors:
            raise ConfigError(f"colors is empty; name one of {', '.join(SLOPES)}")

    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw `snr_db`, `color` and the `seed` of the noise."""
        snr_db = draw_range(rng, self.snr_db)
        color = self.colors[int(rng.integers(len(self.colors)))]
        return {"snr_db": snr_db, "color": color, "seed": int(rng.integers(1 << 32))}

    def _apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.floating]:
        noise = colored_noise(drawn["color"], drawn["seed"], len(wav), sample_rate)
        return add_at_snr(wav, noise, drawn["snr_db"], sample_rate)


def colored_noise(color: str, seed: int, length: int, sample_rate: int) -> NDArray[np.float32]:
    """Noise [length] of a color at no particular level."""
    noise = np.random.default_rng(seed).standard_normal(length, np.float32)
    if not SLOPES[color]:
        return noise
    size = fast_size(length)
    spectrum = np.asarray(fft.rfft(noise, size))
    frequencies = np.maximum(fft.rfftfreq(size, 1 / sample_rate), LOWEST_HZ)
    gains = (frequencies / LOWEST_HZ) ** -SLOPES[color]
    return np.asarray(fft.irfft(spectrum * gains.astype(np.float32), size), np.float32)[:length]
