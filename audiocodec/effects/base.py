"""The contract of an effect: draw parameters first, then apply them.

An effect is a frozen dataclass of plain values, as they stand in YAML. These values are the distribution that
the parameters of one example are drawn from:

- `draw(rng, length, sample_rate, sources, speaker)` returns `Params`: numbers and names that fit into JSON,
  so that a log line is enough to repeat an example. All randomness is here. Equal states of the generator
  give equal parameters on every machine.
- `apply(wav, sample_rate, params, sources)` is deterministic: [L] -> [L] float32, aligned in time with the
  input. It does not limit the result: the sum of speech and noise may pass full scale (`Environment` scales
  it down).
- `reference(wav, sample_rate, params, sources)` returns the target of a model that removes the effect: `wav`
  itself for most effects, changed by `gain`, and by `room` where the target keeps early reflections.

A range is one number or a pair (low, high) to draw uniformly from. The strength (SNR, gain) is drawn first,
so that equal seeds with other strengths get the same noise, room or talkers.

Every effect also has the fields `kind`, its name in YAML, and `probability`, with which a `Chain` applies it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audiocodec.audio import check_sample_rate, check_samples
from audiocodec.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

    from audiocodec.effects.sources import Sources

T = TypeVar("T")
Samples = NDArray[np.float32]
Floats = NDArray[np.floating]
Params = dict[str, Any]
"""Drawn parameters: numbers, strings, None, and lists or dictionaries of them."""
Range = float | tuple[float, float]
"""One number, or (low, high) to draw uniformly from."""


@dataclass(frozen=True)
class Effect(ABC):
    """A change of a recording; subclasses are frozen dataclasses with a literal `kind`.

    Attributes:
        probability: a chain applies the effect with this probability.
        kind: its name in YAML.
    """

    probability: float = field(default=1.0, kw_only=True)
    kind: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        check_range("probability", self.probability, 0.0, 1.0)
        self._check()

    def _check(self) -> None:  # noqa: B027  not every effect has something to check
        """Raise ConfigError for invalid fields."""

    @abstractmethod
    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw parameters for `length` samples at `sample_rate` Hz of `speaker` (empty: unknown).

        Raises:
            InputError: the sources have no recording that fits.
        """

    def apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Samples:
        """Apply the effect to wav [L]; returns a new array [L].

        Raises:
            InputError: `wav` is no array [L] of finite samples, or the effect is not defined for it.
            MissingPackageError: the effect needs a package that is not installed.
        """
        out = self._apply(check_wav(wav, sample_rate), sample_rate, params, sources)
        assert out.shape == wav.shape, f"{type(self).__name__}: {wav.shape} became {out.shape}"
        return out.astype(np.float32, copy=False)

    def reference(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Samples:
        """The target [L] of a model that removes this effect, from the clean signal wav [L]."""
        return wav

    @abstractmethod
    def _apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Floats:
        """`apply` for checked samples; must not change `wav`."""


def check_wav(wav: Samples, sample_rate: int) -> Samples:
    """Return wav [L] as float32.

    Raises:
        InputError: another shape, no samples, NaN or infinity.
        SampleRateError: the sample rate is not supported.
    """
    check_sample_rate(sample_rate)
    if wav.ndim != 1 or not len(wav):
        raise InputError(f"samples of shape {wav.shape}: an effect takes one channel [L] with L > 0")
    wav = wav.astype(np.float32, copy=False)
    check_samples(wav, sample_rate)
    return wav


def bounds(value: Range) -> tuple[float, float]:
    """Lowest and highest value of a range."""
    return value if isinstance(value, tuple) else (value, value)


def check_range(name: str, value: Range, low: float = -np.inf, high: float = np.inf) -> None:
    """Raise ConfigError for a range that is not within [low, high] or has its ends swapped."""
    first, last = bounds(value)
    if not low <= first <= last <= high:
        raise ConfigError(f"{name} {value}: give one number or [low, high] within {low:g} to {high:g}")


def draw_range(rng: Generator, value: Range, log: bool = False) -> float:
    """Draw uniformly (with `log`: uniformly in the logarithm); always takes one number from the generator."""
    low, high = bounds(value)
    share = rng.random()
    if low == high:
        return float(low)
    return float(low * (high / low) ** share if log else low + share * (high - low))


def draw_one(rng: Generator, items: Sequence[T]) -> T:
    """Draw one of `items`."""
    return items[int(rng.integers(len(items)))]
