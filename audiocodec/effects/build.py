"""Effects built from the plain values of YAML, and chains of effects."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from audiocodec.config import from_mapping
from audiocodec.effects.base import Effect, Params, Samples, check_wav
from audiocodec.effects.filters import BandLimit, Microphone
from audiocodec.effects.level import Clipping, Gain
from audiocodec.effects.noise import Babble, ColoredNoise, Noise
from audiocodec.effects.packet_loss import PacketLoss
from audiocodec.effects.rooms import Room
from audiocodec.effects.tandem import Tandem
from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiocodec.effects.sources import Sources

AnyEffect = (
    Babble | BandLimit | Clipping | ColoredNoise | Gain | Microphone | Noise | PacketLoss | Room | Tandem
)
"""Type of configuration fields that hold an effect."""

EFFECTS: dict[str, type[AnyEffect]] = {cls.kind: cls for cls in get_args(AnyEffect)}


def build_effect(spec: Mapping[str, Any]) -> AnyEffect:
    """Build an effect of the class that `kind` names; the other keys are its fields.

    Raises:
        ConfigError: names the nearest known kind, or what is wrong with a field.
    """
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in EFFECTS:
        near = difflib.get_close_matches(str(kind), EFFECTS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known kinds: {', '.join(EFFECTS)}"
        raise ConfigError(f"no effect of kind {kind!r}; {hint}")
    try:
        return from_mapping(EFFECTS[kind], spec)
    except ConfigError as error:
        raise ConfigError(f"effect {kind}: {error}") from error


def build_chain(specs: Sequence[Mapping[str, Any]]) -> Chain:
    """Build a chain of effects as `build_effect` builds them; raises the same errors."""
    return Chain(tuple(build_effect(spec) for spec in specs))


@dataclass(frozen=True)
class Chain:
    """Effects applied in order, each with its probability; `draw` and `apply` are as those of an effect."""

    effects: tuple[Effect, ...] = ()

    def draw(
        self, rng: Generator, length: int, sample_rate: int, sources: Sources, speaker: str = ""
    ) -> Params:
        """Draw `effects`: the `kind` and the parameters of each effect, or None where it is left out.

        Raises:
            InputError: the sources have no recording that fits.
        """
        params: list[Params | None] = []
        for effect in self.effects:
            if rng.random() < effect.probability:
                params.append(
                    {"kind": effect.kind, **effect.draw(rng, length, sample_rate, sources, speaker)}
                )
            else:
                params.append(None)
        return {"effects": params}

    def apply(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Samples:
        """Apply the effects to wav [L]; returns a new array [L].

        Raises:
            InputError: `wav` is no array [L] of finite samples, or an effect is not defined for it.
        """
        out = check_wav(wav, sample_rate).copy()
        for effect, values in zip(self.effects, params["effects"], strict=True):
            if values is not None:
                out = effect.apply(out, sample_rate, values, sources)
        return out

    def reference(self, wav: Samples, sample_rate: int, params: Params, sources: Sources) -> Samples:
        """The target [L] of a model that removes these effects, from the clean signal wav [L]."""
        out = check_wav(wav, sample_rate).copy()
        for effect, values in zip(self.effects, params["effects"], strict=True):
            if values is not None:
                out = effect.reference(out, sample_rate, values, sources)
        return out
