"""From plain values, as they stand in YAML, to effects, and effects one after the other."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiocodec.config import from_mapping
from audiocodec.effects.base import Drawn, Effect, check_wav
from audiocodec.effects.registry import EFFECTS
from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources


def build_effect(spec: Mapping[str, Any]) -> Effect:
    """Build the effect that `kind` names, its fields from the other keys.

    Raises:
        ConfigError: names the nearest known kind, or what is wrong with a field.
    """
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in EFFECTS:
        near = difflib.get_close_matches(str(kind), EFFECTS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known kinds: {', '.join(EFFECTS)}"
        raise ConfigError(f"no effect of kind {kind!r}; {hint}")
    try:
        return from_mapping(EFFECTS[kind], {key: value for key, value in spec.items() if key != "kind"})
    except ConfigError as error:
        raise ConfigError(f"effect {kind}: {error}") from error


def build_chain(specs: Sequence[Mapping[str, Any]]) -> Chain:
    """Build a chain; beside what `build_effect` takes, each effect may have a `probability`.

    Raises:
        ConfigError: as `build_effect`, or a probability outside 0 to 1.
    """
    effects: list[Effect] = []
    probabilities: list[float] = []
    for position, spec in enumerate(specs):
        try:
            effects.append(build_effect({key: spec[key] for key in spec if key != "probability"}))
        except ConfigError as error:
            raise ConfigError(f"[{position}]: {error}") from error
        probabilities.append(spec.get("probability", 1.0))
    return Chain(tuple(effects), tuple(probabilities))


@dataclass(frozen=True)
class Chain:
    """Effects applied in order, each with its probability; draws and applies as one effect does.

    Attributes:
        effects: in the order of application.
        probabilities: of each; all 1 when left empty.
    """

    effects: tuple[Effect, ...] = ()
    probabilities: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.probabilities:
            object.__setattr__(self, "probabilities", (1.0,) * len(self.effects))
        if len(self.probabilities) != len(self.effects):
            raise ConfigError(
                f"{len(self.probabilities)} probabilities for {len(self.effects)} effects; give one for each"
            )
        for value in self.probabilities:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ConfigError(f"probability {value!r}: give a number from 0 to 1")

    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw `effects`: for each its `kind` and what it drew, or None where it is left out."""
        drawn: list[Drawn | None] = []
        for effect, probability in zip(self.effects, self.probabilities, strict=True):
            chosen = rng.random() < probability
            values = effect.draw(rng, length, sample_rate, sources, speaker) if chosen else None
            drawn.append(None if values is None else {"kind": kind_of(effect), **values})
        return {"effects": drawn}

    def apply(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.float32]:
        """Apply what was drawn to wav [L]; gives a new array [L].

        Raises:
            InputError: as the effects.
        """
        out = check_wav(wav, sample_rate).copy()
        for effect, values in zip(self.effects, drawn["effects"], strict=True):
            if values is not None:
                out = effect.apply(out, sample_rate, values, sources)
        return out

    def reference(
        self, wav: NDArray[np.float32], sample_rate: int, drawn: Drawn, sources: Sources
    ) -> NDArray[np.float32]:
        """What the clean signal [L] becomes, as a target for a model that removes these effects."""
        out = check_wav(wav, sample_rate).copy()
        for effect, values in zip(self.effects, drawn["effects"], strict=True):
            if values is not None:
                out = effect.reference(out, sample_rate, values, sources)
        return out


def kind_of(effect: Effect) -> str:
    """The name of an effect in EFFECTS."""
    return next(kind for kind, cls in EFFECTS.items() if cls is type(effect))
