"""The contract of an effect: what may happen to a recording, drawn first, then applied.

An effect is a frozen dataclass of plain values as they stand in YAML: the distribution to draw from. Its work
is split in two, so that a log line is enough to repeat it:

- `draw(rng, length, sample_rate, sources, speaker)` gives a `Drawn`: plain numbers and names, which fit into
  JSON. All randomness is here; two draws with the same generator state are equal on every machine.
- `apply(wav, sample_rate, drawn, sources)` is deterministic: [L] -> [L] float32, aligned in time to the
  input, never limited: the sum of speech and noise may pass full scale (`Environment` scales it down).
- `reference(wav, sample_rate, drawn, sources)` gives what the clean signal becomes where a model shall remove
  the effect: `wav` itself for most, changed by `gain`, and by `room` where a target keeps early reflections.

A range is one number or a pair (low, high), drawn uniformly. The first thing drawn is the strength (the SNR,
the gain), so that equal seeds at other strengths meet the same noise, room or talkers.

Every effect has two fields beside its own: `kind`, by which YAML names it, and `probability`, with which a
`Chain` applies it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.audio import check_sample_rate, check_samples
from audiocodec.errors import ConfigError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources

Drawn = dict[str, Any]
"""What was drawn: numbers, strings, None, and lists or dictionaries of them."""
Range = float | tuple[float, float]
"""One number, or (low, high) to draw uniformly from."""


@dataclass(frozen=True)
class Effect(ABC):
    """Something that happens to a recording; subclasses are frozen dataclasses with a literal `kind`.

    Attributes:
        probability: with which a chain applies it.
    """

    probability: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        check_range("probability", self.probability, 0.0, 1.0)
        self._check()

    def _check(self) -> None:  # noqa: B027  most effects have something to check, none must
        """Refuse fields that make no sense.

        Raises:
            ConfigError: says what is allowed.
        """

    @abstractmethod
    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw what to do with `length` samples at `sample_rate` Hz, spoken by `speaker` where known.

        Raises:
            InputError: the sources hold nothing that fits.
        """

    def apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.float32]:
        """Do to wav [L] what was drawn; gives a new array [L].

        Raises:
            InputError: `wav` is no array [L] of finite samples, or the effect is not defined for it.
            MissingPackageError: the effect needs a package that is not installed.
        """
        out = self._apply(check_wav(wav, sample_rate), sample_rate, drawn, sources)
        assert out.shape == wav.shape, f"{type(self).__name__}: {wav.shape} became {out.shape}"
        return out.astype(np.float32, copy=False)

    def reference(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.float32]:
        """What the clean signal [L] becomes, as a target for a model that removes this effect."""
        return wav

    @abstractmethod
    def _apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.floating]:
        """`apply` on checked samples; must not change `wav`."""


def check_wav(wav: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Return wav [L] as float32.

    Raises:
        InputError: another shape, no samples, NaN or infinity.
        SampleRateError: a rate outside what is supported.
    """
    check_sample_rate(sample_rate)
    if wav.ndim != 1 or not len(wav):
        raise InputError(f"samples of shape {wav.shape}: an effect takes one channel [L] with L > 0")
    wav = wav.astype(np.float32, copy=False)
    check_samples(wav, sample_rate)
    return wav


def check_range(name: str, value: Range, low: float = -np.inf, high: float = np.inf) -> None:
    """Refuse a range that lies outside [low, high] or runs backwards.

    Raises:
        ConfigError: says what is allowed.
    """
    first, last = value if isinstance(value, tuple) else (value, value)
    if not low <= first <= last <= high:
        raise ConfigError(f"{name} {value}: give one number or [low, high] within {low:g} to {high:g}")


def draw_range(rng: np.random.Generator, value: Range, log: bool = False) -> float:
    """Draw uniformly (or uniformly in the logarithm), always with one step of the generator."""
    low, high = value if isinstance(value, tuple) else (value, value)
    share = rng.random()
    if low == high:
        return float(low)
    return float(low * (high / low) ** share if log else low + share * (high - low))
