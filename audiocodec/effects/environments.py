"""Named acoustic environments: what a model hears, how often, from which step on, and its target.

A YAML file maps names to environments; training draws from them by weight, evaluation goes through them:

    environments:
      clean: {weight: 3}
      street:
        weight: 1
        target: clean
        start_step: 2000
        full_step: 10000
        start_snr_db: [15, 25]
        effects:
          - {kind: noise, types: [street], snr_db: [0, 20]}
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiocodec.config import load_config
from audiocodec.effects.base import Drawn, Effect, Range, check_range, check_wav
from audiocodec.effects.build import AnyEffect, Chain
from audiocodec.effects.colored_noise import colored_noise
from audiocodec.errors import ConfigError, InputError, MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources

MAX_PEAK = 0.99


@dataclass(frozen=True)
class Scene:
    """One example as a model meets it.

    Attributes:
        wav: what it hears [L].
        target: what it is to give back [L].
        reason: why the environment could not be applied, in which case both are the clean signal.
    """

    wav: NDArray[np.float32]
    target: NDArray[np.float32]
    reason: str | None = None


@dataclass(frozen=True)
class Environment:
    """A chain of effects with its share of the examples and what a model is to make of it.

    Attributes:
        name: in logs and tables; the key in a YAML file.
        weight: its share of the examples is this over the sum of all weights.
        target: "input", transparent coding of what is heard; "clean", coding without noise and room.
        effects: in order of application; none for clean speech.
        start_step: it is not drawn before this step of training.
        full_step: between the two its weight rises linearly, and ranges move from start_snr_db to snr_db.
        start_snr_db: the range of SNRs at start_step, for all effects that have one; None: as at the end.
        peak: of an input that passes full scale: "scale" scales input and target down together, "clip" cuts
            the input off as a converter does, "keep" leaves it.
    """

    name: str = ""
    weight: float = 1.0
    target: Literal["input", "clean"] = "input"
    effects: tuple[AnyEffect, ...] = ()
    start_step: int = 0
    full_step: int = 0
    start_snr_db: Range | None = None
    peak: Literal["scale", "clip", "keep"] = "scale"

    def __post_init__(self) -> None:
        if not 0 <= self.weight < np.inf:
            raise ConfigError(f"weight {self.weight}: give a number from 0 on")
        if self.start_snr_db is not None:
            check_range("start_snr_db", self.start_snr_db, -40.0, 100.0)
        if self.start_step < 0 or (self.full_step and self.full_step < self.start_step):
            raise ConfigError(
                f"start_step {self.start_step}, full_step {self.full_step}: give steps in this order"
            )

    @property
    def chain(self) -> Chain:
        """Its effects as at the end of its curriculum."""
        return Chain(self.effects)

    def progress(self, step: int | None) -> float:
        """How far its curriculum is at a step: 0 before start_step, 1 from full_step on or without a step."""
        if step is None or step >= max(self.start_step, self.full_step):
            return 1.0
        return max(0.0, (step - self.start_step) / (self.full_step - self.start_step))

    def weight_at(self, step: int | None) -> float:
        """Its weight at a step of training."""
        return 0.0 if step is not None and step < self.start_step else self.weight * self.progress(step)

    def chain_at(self, step: int | None) -> Chain:
        """Its effects at a step of training; None: at the end."""
        progress = self.progress(step)
        if self.start_snr_db is None or progress == 1.0:
            return self.chain
        return Chain(tuple(_with_snr(effect, self.start_snr_db, progress) for effect in self.effects))

    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
        step: int | None = None,
    ) -> Drawn:
        """Draw its effects as a `Chain` does, with `environment`, its name.

        Raises:
            InputError: the sources hold nothing that fits.
        """
        drawn = self.chain_at(step).draw(rng, length, sample_rate, sources, speaker)
        return {"environment": self.name, **drawn}

    def apply(
        self,
        wav: NDArray[np.float32],
        sample_rate: int,
        drawn: Drawn,
        sources: Sources,
        strict: bool = True,
    ) -> Scene:
        """Make input and target of wav [L] as drawn.

        Where an effect is not defined, such as an SNR of silence, it is an error, or with `strict` False the
        clean signal is given with the reason.

        Raises:
            InputError: `wav` cannot be used, or an effect is not defined for it.
        """
        wav = check_wav(wav, sample_rate)
        try:
            heard = self.chain.apply(wav, sample_rate, drawn, sources)
        except InputError as error:
            if strict:
                raise
            return Scene(wav.copy(), wav.copy(), str(error))
        target = heard if self.target == "input" else self.chain.reference(wav, sample_rate, drawn, sources)
        return Scene(*_limit(heard, target, self.peak))


def read_environments(path: Path) -> tuple[Environment, ...]:
    """Read the environments of a YAML file, in its order.

    Raises:
        ConfigError: names the file and what is wrong in it.
    """
    found = load_config(_File, path).environments
    if not found:
        raise ConfigError(f"{path}: no environment; name at least one under `environments:`")
    return tuple(replace(environment, name=name) for name, environment in found.items())


def pick_environment(
    environments: Sequence[Environment], rng: np.random.Generator, step: int | None = None
) -> Environment:
    """Draw one environment by its weight at a step; always takes one number from the generator.

    Raises:
        ConfigError: all weights are 0 at this step.
    """
    weights = np.array([environment.weight_at(step) for environment in environments])
    share = rng.random() * weights.sum()
    if not weights.any():
        raise ConfigError(f"no environment has a weight at step {step}; give one start_step 0")
    return environments[int(np.searchsorted(np.cumsum(weights), share, side="right"))]


def check_environments(environments: Sequence[Environment], sources: Sources, sample_rate: int) -> None:
    """Try every effect once, so that a missing noise or package shows before hours of work, not within.

    Raises:
        InputError: names every environment that cannot be made, and why.
    """
    rng = np.random.default_rng(0)
    length = 2 * sample_rate
    wav = colored_noise("pink", 0, length, sample_rate)
    wav *= np.float32(0.1 / np.abs(wav).max())
    problems: dict[str, list[str]] = {}
    for environment in environments:
        always = replace(
            environment, effects=tuple(replace(effect, probability=1.0) for effect in environment.effects)
        )
        try:
            always.apply(wav, sample_rate, always.draw(rng, length, sample_rate, sources), sources)
        except (InputError, MissingPackageError) as error:
            problems.setdefault(str(error), []).append(environment.name)
    if problems:
        told = "; ".join(f"{', '.join(names)}: {problem}" for problem, names in problems.items())
        raise InputError(f"environments that cannot be made: {told}")


@dataclass(frozen=True)
class _File:
    environments: dict[str, Environment] = field(default_factory=dict[str, Environment])


def _with_snr(effect: Effect, start: Range, progress: float) -> Effect:
    end: Any = getattr(effect, "snr_db", None)
    if end is None:
        return effect
    pairs = zip(_pair(start), _pair(end), strict=True)
    return replace(effect, snr_db=tuple(float(a + progress * (b - a)) for a, b in pairs))


def _pair(value: Range) -> tuple[float, float]:
    return value if isinstance(value, tuple) else (value, value)


def _limit(
    heard: NDArray[np.float32], target: NDArray[np.float32], peak: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    highest = max(float(np.abs(heard).max()), float(np.abs(target).max()))
    if peak == "keep" or highest <= 1.0:
        return heard, target
    if peak == "clip":
        clipped = np.clip(heard, -1.0, 1.0)
        return clipped, clipped if target is heard else target
    gain = np.float32(MAX_PEAK / highest)
    return heard * gain, target * gain
