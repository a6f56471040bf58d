"""From plain values, as they stand in YAML, to effects; and effects one after the other."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audiocodec.config import from_mapping
from audiocodec.effects.babble import Babble
from audiocodec.effects.bandlimit import BandLimit
from audiocodec.effects.base import Drawn, Effect, check_wav
from audiocodec.effects.clipping import Clipping
from audiocodec.effects.colored_noise import ColoredNoise
from audiocodec.effects.gain import Gain
from audiocodec.effects.microphone import Microphone
from audiocodec.effects.noise import Noise
from audiocodec.effects.packet_loss import PacketLoss
from audiocodec.effects.room import Room
from audiocodec.effects.tandem import Tandem
from audiocodec.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audiocodec.effects.sources import Sources

AnyEffect = (
    Babble | BandLimit | Clipping | ColoredNoise | Gain | Microphone | Noise | PacketLoss | Room | Tandem
)
"""Any of them as a type: what a configuration field that holds an effect may be."""

EFFECTS: dict[str, type[AnyEffect]] = {
    "babble": Babble,
    "bandlimit": BandLimit,
    "clipping": Clipping,
    "colored_noise": ColoredNoise,
    "gain": Gain,
    "microphone": Microphone,
    "noise": Noise,
    "packet_loss": PacketLoss,
    "room": Room,
    "tandem": Tandem,
}


def build_effect(spec: Mapping[str, Any]) -> AnyEffect:
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
        return from_mapping(EFFECTS[kind], spec)
    except ConfigError as error:
        raise ConfigError(f"effect {kind}: {error}") from error


def build_chain(specs: Sequence[Mapping[str, Any]]) -> Chain:
    """Build a chain of what `build_effect` takes.

    Raises:
        ConfigError: as `build_effect`.
    """
    return Chain(tuple(build_effect(spec) for spec in specs))


@dataclass(frozen=True)
class Chain:
    """Effects applied in order, each with its probability; draws and applies as one effect does.

    Attributes:
        effects: in the order of application.
    """

    effects: tuple[Effect, ...] = ()

    def draw(
        self,
        rng: np.random.Generator,
        length: int,
        sample_rate: int,
        sources: Sources,
        speaker: str | None = None,
    ) -> Drawn:
        """Draw `effects`: for each its `kind` and what it drew, or None where it is left out.

        Raises:
            InputError: as the effects.
        """
        drawn: list[Drawn | None] = []
        for effect in self.effects:
            chosen = rng.random() < effect.probability
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
