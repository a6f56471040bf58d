"""Named acoustic environments: effects on the input of a model, their share of the training, and the target.

A YAML file maps names to environments. Training draws from them by weight; evaluation uses each of them:

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
from audiocodec.effects.base import Effect, Params, Range, Samples, bounds, check_range, check_wav
from audiocodec.effects.build import AnyEffect, Chain
from audiocodec.effects.noise import colored_noise
from audiocodec.errors import ConfigError, InputError, MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.random import Generator

    from audiocodec.effects.sources import Sources

MAX_PEAK = 0.99


@dataclass(frozen=True)
class Scene:
    """Input and target of a model, for one example.

    Attributes:
        wav: input of the model [L].
        target: what the model should return [L].
        reason: why the environment could not be applied; input and target are the clean signal then.
    """

    wav: Samples
    target: Samples
    reason: str | None = None


@dataclass(frozen=True)
class Environment:
    """A chain of effects, its share of the examples and the target of the model.

    Attributes:
        name: in logs and tables; the key in a YAML file.
        weight: the share of the examples is this weight over the sum of all weights.
        target: "input", to code the input as it is; "clean", to code it without noise and room.
        effects: in order of application; none for clean speech.
        start_step: the environment is not used before this step of training.
        full_step: from start_step to this step the weight rises linearly from 0, and ranges of SNRs move from
            start_snr_db to snr_db.
        start_snr_db: range of SNRs at start_step, for all effects with an SNR; None: snr_db from the start.
        peak: what happens to an input that passes full scale: "scale" scales input and target down together,
            "clip" limits the input as a converter does, "keep" leaves it.
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

    def progress(self, step: int | None) -> float:
        """Progress of the curriculum: 0 up to start_step, 1 from full_step on, and for step None."""
        if step is None or step >= max(self.start_step, self.full_step):
            return 1.0
        return max(0.0, (step - self.start_step) / (self.full_step - self.start_step))

    def weight_at(self, step: int | None) -> float:
        """The weight at a step of training; None: after the curriculum."""
        return 0.0 if step is not None and step < self.start_step else self.weight * self.progress(step)

    def chain(self, step: int | None = None) -> Chain:
        """The effects at a step of training; None: after the curriculum."""
        progress = self.progress(step)
        if self.start_snr_db is None or progress == 1.0:
            return Chain(self.effects)
        return Chain(tuple(_with_snr(effect, self.start_snr_db, progress) for effect in self.effects))

    def draw(
        self,
        rng: Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str = "",
        step: int | None = None,
    ) -> Params:
        """Draw its effects as a `Chain` does, and add `environment`, its name.

        Raises:
            InputError: the sources have no recording that fits.
        """
        params = self.chain(step).draw(rng, length, sample_rate, sources, speaker)
        return {"environment": self.name, **params}

    def apply(
        self, wav: Samples, sample_rate: int, params: Params, sources: Sources, strict: bool = True
    ) -> Scene:
        """Make input and target of the model from wav [L].

        Without `strict`, a recording that an effect is not defined for (silence has no SNR) is no error: its
        scene is the clean signal and the reason.

        Raises:
            InputError: `wav` cannot be used, or an effect is not defined for it.
        """
        wav = check_wav(wav, sample_rate)
        try:
            changed = self.chain().apply(wav, sample_rate, params, sources)
        except InputError as error:
            if strict:
                raise
            return Scene(wav.copy(), wav.copy(), str(error))
        target = changed
        if self.target == "clean":
            target = self.chain().reference(wav, sample_rate, params, sources)
        return Scene(*limit_peak(changed, target, self.peak))


def read_environments(path: Path) -> tuple[Environment, ...]:
    """Read the environments of a YAML file, in its order.

    Raises:
        ConfigError: names the file and what is wrong in it.
    """
    environments = load_config(_File, path).environments
    if not environments:
        raise ConfigError(f"{path}: no environment; name at least one under `environments:`")
    return tuple(replace(environment, name=name) for name, environment in environments.items())


def pick_environment(
    environments: Sequence[Environment], rng: Generator, step: int | None = None
) -> Environment:
    """Draw an environment by the weights at a step; always takes one number from the generator.

    Raises:
        ConfigError: all weights are 0 at this step.
    """
    weights = np.array([environment.weight_at(step) for environment in environments])
    share = rng.random() * weights.sum()
    if not weights.any():
        raise ConfigError(f"no environment has a weight at step {step}; give one start_step 0")
    return environments[int(np.searchsorted(np.cumsum(weights), share, side="right"))]


def check_environments(environments: Sequence[Environment], sources: Sources, sample_rate: int) -> None:
    """Apply every effect once: a missing recording or package is an error at the start, not after hours.

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
        listed = "; ".join(f"{', '.join(names)}: {problem}" for problem, names in problems.items())
        raise InputError(f"environments that cannot be made: {listed}")


@dataclass(frozen=True)
class _File:
    environments: dict[str, Environment] = field(default_factory=dict[str, Environment])


def _with_snr(effect: Effect, start: Range, progress: float) -> Effect:
    end: Any = getattr(effect, "snr_db", None)
    if end is None:
        return effect
    pairs = zip(bounds(start), bounds(end), strict=True)
    return replace(effect, snr_db=tuple(float(a + progress * (b - a)) for a, b in pairs))


def limit_peak(changed: Samples, target: Samples, peak: str) -> tuple[Samples, Samples]:
    """Scale, clip or keep an input [L] that passes full scale, with its target (see `Environment`)."""
    highest = max(float(np.abs(changed).max()), float(np.abs(target).max()))
    if peak == "keep" or highest <= 1.0:
        return changed, target
    if peak == "clip":
        clipped = np.clip(changed, -1.0, 1.0)
        return clipped, clipped if target is changed else target
    gain = np.float32(MAX_PEAK / highest)
    return changed * gain, target * gain
